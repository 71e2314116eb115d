/** Suites of cases that run in clusters of their own: the runner, and what it needs to know of a case. */
import { findNatsServer } from "@stingray/broker/server";
import { StingrayError, TimeoutError } from "@stingray/protocol";
import { init, shutdown, type InitOptions } from "stingray";
import { measureInTurns } from "./measure.js";
import type { Measured, Subject } from "./measure.js";
import type { BenchOptions } from "./options.js";
import { buildRow, OURS } from "./report.js";
import type { BenchFile, Row } from "./report.js";
import { describeMachine, turns, wantedBy } from "./run.js";
import type { Progress } from "./run.js";
import { formatRow } from "./table.js";

/** One case of a suite. */
export interface SuiteCase {
  name: string;
  unit: string;
  better: "higher" | "lower";
  /** What was asked for against the subjects beside ours. */
  reach?: Record<string, number>;
  /** What was asked for in the unit of the case. */
  target?: number;
  note?: string;
  /** Where one run is all that there is time for. @defaultValue those of the command line */
  rounds?: number;
  /** The longest time that one step may take beyond its seconds, in milliseconds. @defaultValue 90,000 */
  deadlineMs?: number;
  /** Ours. It is prepared by its warm-up, in a running cluster. */
  ours(): Subject;
  /** What plain Node does for the same end. */
  beside?(): Subject[];
  /** Rows that the same rounds give beside the case's own. */
  more?(measured: Measured): Row[];
}

/** Cases that share a cluster. */
export interface SuiteGroup {
  /** How the cluster is started; undefined where each case has one of its own. */
  cluster: InitOptions | undefined;
  cases: readonly SuiteCase[];
  /** What its cases need beside the cluster; it is not up while others are measured. Gives the way to end it. */
  prepare?: (() => Promise<() => Promise<void>>) | undefined;
}

/** What a suite is run with. */
export interface SuiteRun {
  suite: string;
  groups: readonly SuiteGroup[];
  /** Told the driver's node whenever a cluster is up. */
  onCluster?: (node: string | undefined) => void;
  /** Version of the nats-server that clusters run with. */
  natsServer: string;
  o: BenchOptions;
  progress: Progress;
  signal: AbortSignal | undefined;
}

const STEP_DEADLINE_MS = 90_000;

/** The nats-server of a run, installed if need be. What is measured are clusters of the run's own. */
export async function prepareRun(progress: Progress): Promise<string> {
  delete process.env.STINGRAY_ADDRESS;
  return (await findNatsServer({ install: true, log: (line) => progress.status(line) })).version;
}

/** Runs the groups one after the other. Ends everything that it started, also when it fails or the signal stops it. */
export async function runSuite(run: SuiteRun): Promise<BenchFile> {
  const { o, progress, groups } = run;
  const startedAt = new Date();
  const start = performance.now();
  const rows: Row[] = [];
  const wanted = wantedBy(o);
  for (const { cluster, cases, prepare } of groups) {
    const chosen = cases.filter((one) => wanted(one.name));
    if (chosen.length === 0) continue;
    let failure: Error | undefined;
    const undo = await prepare?.();
    try {
      if (cluster) {
        progress.status("starting a cluster");
        try {
          const { nodeId } = await init(cluster);
          run.onCluster?.(nodeId);
        } catch (error) {
          failure = new StingrayError("the cluster did not start", { cause: error });
          progress.line(`${failure.message}: ${error instanceof Error ? error.message : String(error)}`);
        }
      }
      for (const one of chosen) {
        const measured = failure ? failed(failure) : await measure(one, run);
        for (const row of rowsOf(one, measured, o)) {
          rows.push(row);
          progress.line(formatRow(row));
        }
      }
    } finally {
      progress.status("ending the cluster");
      await shutdown();
      await undo?.();
    }
  }
  return {
    suite: run.suite,
    machine: describeMachine(run.natsServer, {}),
    startedAt: startedAt.toISOString(),
    seconds: Math.round((performance.now() - start) / 1000),
    rows,
  };
}

async function measure(one: SuiteCase, { o, progress, signal }: SuiteRun): Promise<Measured> {
  const subjects = [one.ours(), ...(o.floors ? (one.beside?.() ?? []) : [])];
  const rounds = Math.min(o.rounds, one.rounds ?? o.rounds);
  return measureInTurns(
    subjects.map((subject) => withDeadline(subject, one.deadlineMs)),
    turns(one.name, { ...o, rounds }, progress, signal),
  );
}

function failed(error: Error): Measured {
  return { rounds: new Map(), failures: new Map([[OURS, error]]) };
}

/** What was asked for holds for the full sizes and for the links that a user gets. */
function rowsOf(one: SuiteCase, measured: Measured, o: BenchOptions): Row[] {
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

/** The same subject, none of whose steps takes forever. */
export function withDeadline(subject: Subject, deadlineMs: number = STEP_DEADLINE_MS): Subject {
  const limit = async <T>(what: string, work: Promise<T>, seconds: number): Promise<T> => {
    const ms = deadlineMs + seconds * 1000;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(
        () => reject(new TimeoutError(`${subject.name} was given up: ${what} was not over after ${ms} ms`)),
        ms,
      );
    });
    try {
      return await Promise.race([work, late]);
    } finally {
      clearTimeout(timer);
    }
  };
  return {
    name: subject.name,
    warmUp: (seconds) => limit("its warm-up", subject.warmUp(seconds), seconds),
    round: (seconds) => limit("a round", subject.round(seconds), seconds),
    end: () => limit("its end", subject.end(), 0),
  };
}
