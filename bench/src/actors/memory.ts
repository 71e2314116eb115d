/** What actors cost in memory, and how many light ones a machine holds. */
import { kill, ready, type ActorHandle } from "stingray";
import { density, type DensityResult } from "../density/density.js";
import { memoryByProcess } from "../density/memory.js";
import type { Measured, Subject } from "../measure.js";
import { OURS, buildRow, type Row, type RowHead } from "../report.js";
import type { SuiteCase } from "../suite.js";
import { WAIT } from "./calls.js";
import type { ActorSizes } from "./sizes.js";
import { RemoteLight, type Light } from "./workload.js";

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;
/** The density is not given longer. Milliseconds. */
const DENSITY_DEADLINE_MS = 900_000;
/** What was asked for of one machine. */
const DENSITY_TARGET = 100_000;

export function memoryCases({ processes, shared }: ActorSizes): SuiteCase[] {
  const light = RemoteLight.options({ isolation: "shared" });
  return [
    perActor("memory of an actor with a process of its own", "MiB", MIB, processes, () =>
      RemoteLight.remote(),
    ),
    perActor("memory of an actor in a shared process", "KiB", KIB, shared, () => light.remote()),
  ];
}

/** One round: so many are made and called, and what all processes together hold more is divided by their number. */
function perActor(
  name: string,
  unit: string,
  bytes: number,
  count: number,
  make: () => ActorHandle<Light>,
): SuiteCase {
  const byKind = new Map<string, number[]>();
  const round = async (): Promise<number> => {
    const actors: ActorHandle<Light>[] = [make()];
    try {
      // The first brings the process of the shared ones.
      await Promise.all(actors.map((actor) => ready(actor, WAIT)));
      const before = byName();
      for (let i = 0; i < count; i++) actors.push(make());
      await Promise.all(actors.map((actor) => ready(actor, WAIT)));
      const after = byName();
      let sum = 0;
      for (const [kind, held] of after) {
        const more = (held - (before.get(kind) ?? 0)) / count / bytes;
        sum += more;
        if (!byKind.has(kind)) byKind.set(kind, []);
        byKind.get(kind)?.push(more);
      }
      return sum;
    } finally {
      await Promise.all(actors.map((actor) => kill(actor)));
    }
  };
  return {
    name,
    unit,
    better: "lower",
    note: `${count} of them; PSS, over all processes`,
    ours: () => onceEach(round),
    more: ({ failures }) =>
      [...byKind].map(([kind, rounds]) =>
        buildRow(
          { name: `${name}: ${kind}`, unit, better: "lower", reach: {}, notes: [] },
          { rounds: new Map([[OURS, rounds]]), failures },
        ),
      ),
  };
}

/** A subject whose figure is what one run gives; it needs no warm-up. */
function onceEach(round: () => Promise<number>): Subject {
  return { name: OURS, async warmUp() {}, round, async end() {} };
}

function byName(): Map<string, number> {
  const all = new Map<string, number>();
  for (const { name, bytes } of memoryByProcess()) all.set(name, (all.get(name) ?? 0) + bytes);
  return all;
}

/** Runs once, in a cluster of its own. */
export function densityCase({ density: actors }: ActorSizes, links: "auto" | "nats"): SuiteCase {
  let result: DensityResult | undefined;
  const of = `${actors.toLocaleString("en-US")} shared actors`;
  const row = (
    { failures }: Measured,
    name: string,
    unit: string,
    better: RowHead["better"],
    value: (r: DensityResult) => number,
  ): Row =>
    buildRow(
      { name: `${of}: ${name}`, unit, better, reach: {}, notes: [] },
      { rounds: new Map(result === undefined ? [] : [[OURS, [value(result)]]]), failures },
    );
  return {
    name: `${of}: alive, called, and right`,
    unit: "actors",
    better: "higher",
    target: DENSITY_TARGET,
    rounds: 1,
    deadlineMs: DENSITY_DEADLINE_MS,
    ours: () =>
      onceEach(async () => {
        result = await density({ actors, links });
        return result.right;
      }),
    more: (measured) => [
      row(measured, "made", "actors/s", "higher", (r) => r.createdPerS),
      row(measured, "one call of each", "calls/s", "higher", (r) => r.callsPerS),
      row(measured, "ended by kill", "actors/s", "higher", (r) => r.killedPerS),
      row(measured, "memory of all processes", "GiB", "lower", (r) => r.residentBytes / GIB),
      row(measured, "memory for each", "KiB", "lower", (r) => r.residentBytes / r.actors / KIB),
      ...[...new Set(result?.memory.map(({ name }) => name))].map((kind) =>
        row(measured, `memory, ${kind}`, "GiB", "lower", (r) => sumOf(r, kind) / GIB),
      ),
      row(measured, "end of the program", "ms", "lower", (r) => r.shutdownMs),
    ],
  };
}

function sumOf({ memory }: DensityResult, kind: string): number {
  return memory.reduce((sum, { name, bytes }) => sum + (name === kind ? bytes : 0), 0);
}
