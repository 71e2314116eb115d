/** How fast actors are made: from `.remote()` until all are ready. */
import { get, kill, ready, type ActorHandle } from "stingray";
import { preparedSubject, sampledSubject, type Sampling, type Subject } from "../measure.js";
import { OURS } from "../report.js";
import { mean, median } from "../stats.js";
import type { SuiteCase } from "../suite.js";
import type { ActorSizes } from "./sizes.js";
import { RemoteLight, occupy, type Light } from "./workload.js";

const WAIT = { timeoutMs: 60_000 } as const;
/** So long workers are kept busy to have as many of them. Milliseconds. */
const OCCUPY_MS = 400;
/** After so long without work they are idle: their leases have gone back. Milliseconds. */
const IDLE_MS = 500;

export function creationCases(sizes: ActorSizes): SuiteCase[] {
  const { processes, shared } = sizes;
  let environment = 0;
  /** An environment that no worker has. */
  const fresh = (): typeof RemoteLight =>
    RemoteLight.options({
      runtimeEnv: { envVars: { STINGRAY_BENCH_RUN: `${process.pid}.${++environment}` } },
    });
  const light = RemoteLight.options({ isolation: "shared" });
  return [
    {
      name: "make actors, new processes",
      unit: "actors/s",
      better: "higher",
      note: `${processes} at a time`,
      ours: () => rate(processes, () => made(processes, fresh())),
    },
    {
      name: "make actors, idle workers at hand",
      unit: "actors/s",
      better: "higher",
      note: `${sizes.cpus} at a time`,
      ours: () =>
        rate(sizes.cpus, async () => {
          await get(Array.from({ length: sizes.cpus }, () => occupy.remote(OCCUPY_MS)));
          await new Promise((idle) => setTimeout(idle, IDLE_MS));
          return made(sizes.cpus, RemoteLight);
        }),
    },
    {
      name: "make actors, shared processes",
      unit: "actors/s",
      better: "higher",
      note: `${shared} at a time`,
      ours: () =>
        preparedSubject(OURS, async () => {
          const keeper = light.remote(); // the process is up
          await ready(keeper, WAIT);
          return rate(
            shared,
            () => made(shared, light),
            () => kill(keeper),
          );
        }),
    },
    {
      name: "make one actor and call it, new process",
      unit: "ms",
      better: "lower",
      ours: () =>
        sampledSubject(
          OURS,
          sampling(() => {
            const cls = fresh();
            return firstAnswer(cls);
          }),
          median,
        ),
    },
    {
      name: "make one actor and call it, shared process",
      unit: "ms",
      better: "lower",
      ours: () =>
        preparedSubject(OURS, async () => {
          const keeper = light.remote();
          await ready(keeper, WAIT);
          return sampledSubject(
            OURS,
            sampling(
              () => firstAnswer(light),
              () => kill(keeper),
            ),
            median,
          );
        }),
    },
  ];
}

function rate(count: number, sample: () => Promise<number>, end?: () => Promise<void>): Subject {
  return sampledSubject(OURS, sampling(sample, end), (samples) => (count * 1000) / mean(samples));
}

function sampling(sample: () => Promise<number>, end: () => Promise<void> = async () => {}): Sampling {
  return { sample, end };
}

/** Milliseconds until so many are ready. They are ended outside the clock. */
async function made(count: number, cls: typeof RemoteLight): Promise<number> {
  const actors: ActorHandle<Light>[] = [];
  const start = performance.now();
  try {
    for (let i = 0; i < count; i++) actors.push(cls.remote());
    await Promise.all(actors.map((actor) => ready(actor, WAIT)));
    return performance.now() - start;
  } finally {
    await Promise.all(actors.map((actor) => kill(actor)));
  }
}

/** Milliseconds until a new actor has answered. */
async function firstAnswer(cls: typeof RemoteLight): Promise<number> {
  const start = performance.now();
  const actor = cls.remote();
  try {
    await get(actor.smallValue.remote(), WAIT);
    return performance.now() - start;
  } finally {
    await kill(actor);
  }
}
