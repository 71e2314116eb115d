import { findNatsServer } from "@stingray/broker/server";
import { StingrayError } from "@stingray/protocol";
import { init, shutdown } from "stingray";
import { measureInTurns } from "../measure.js";
import type { Measured } from "../measure.js";
import type { BenchOptions } from "../options.js";
import { buildRow, OURS } from "../report.js";
import type { BenchFile, Row } from "../report.js";
import { describeMachine, turns, wantedBy } from "../run.js";
import type { Progress } from "../run.js";
import { formatRow } from "../table.js";
import { withDeadline } from "./case.js";
import type { ObjectCase } from "./case.js";
import { objectGroups } from "./groups.js";
import { objectSizes, shortOfMemory } from "./sizes.js";

/** Names of all cases of the suite, in the order in which they run. */
export function objectCaseNames({ small }: Pick<BenchOptions, "small">): string[] {
  return objectGroups(objectSizes(small), "auto", () => undefined).flatMap(({ cases }) =>
    cases.map((one) => one.name),
  );
}

/**
 * Runs the suite. Ends everything that it started, also when it fails or `signal` stops it.
 * @throws StingrayError where the machine has too little memory
 */
export async function runObjects(
  o: BenchOptions,
  progress: Progress,
  signal?: AbortSignal,
): Promise<BenchFile> {
  const startedAt = new Date();
  const start = performance.now();
  // The run is about clusters of its own, whose sizes and links it chooses.
  delete process.env.STINGRAY_ADDRESS;
  const short = o.small ? undefined : await shortOfMemory();
  if (short !== undefined) throw new StingrayError(short);
  const server = await findNatsServer({ install: true, log: (line) => progress.status(line) });

  let home: string | undefined;
  const rows: Row[] = [];
  const wanted = wantedBy(o);
  for (const { cluster, cases } of objectGroups(objectSizes(o.small), o.links, () => home)) {
    const chosen = cases.filter((one) => wanted(one.name));
    if (chosen.length === 0) continue;
    let failure: Error | undefined;
    try {
      if (cluster) {
        progress.status("starting a cluster");
        try {
          home = (await init(cluster)).nodeId;
        } catch (error) {
          failure = new StingrayError("the cluster did not start", { cause: error });
          progress.line(`${failure.message}: ${error instanceof Error ? error.message : String(error)}`);
        }
      }
      for (const one of chosen) {
        const measured = failure ? failed(failure) : await measure(one, o, progress, signal);
        for (const row of rowsOf(one, measured, o)) {
          rows.push(row);
          progress.line(formatRow(row));
        }
      }
    } finally {
      progress.status("ending the cluster");
      await shutdown();
    }
  }
  return {
    suite: "objects",
    machine: describeMachine(server.version, {}),
    startedAt: startedAt.toISOString(),
    seconds: Math.round((performance.now() - start) / 1000),
    rows,
  };
}

async function measure(
  one: ObjectCase,
  o: BenchOptions,
  progress: Progress,
  signal: AbortSignal | undefined,
): Promise<Measured> {
  const subjects = [one.ours(), ...(o.floors ? (one.beside?.() ?? []) : [])];
  return measureInTurns(
    subjects.map((subject) => withDeadline(subject)),
    turns(one.name, o, progress, signal),
  );
}

function failed(error: Error): Measured {
  return { rounds: new Map(), failures: new Map([[OURS, error]]) };
}

/** What was asked for holds for the full sizes and for the links that a user gets. */
function rowsOf(one: ObjectCase, measured: Measured, o: BenchOptions): Row[] {
  const asked = !o.small && o.links === "auto";
  const notes = [
    ...(one.note === undefined ? [] : [one.note]),
    ...(o.small ? ["small sizes"] : []),
    ...(o.links === "nats" ? ["everything over the broker"] : []),
  ];
  const { name, unit, better } = one;
  const reach = asked && o.floors ? (one.reach ?? {}) : {};
  const target = asked ? one.target : undefined;
  return [buildRow({ name, unit, better, reach, target, notes }, measured), ...(one.more?.(measured) ?? [])];
}
