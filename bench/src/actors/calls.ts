/** Calls of actors in memory, beside the floors of the same run. */
import { get, kill, ready, type ActorHandle, type ObjectRef } from "stingray";
import type { FloorMode } from "../cases/case.js";
import type { Floors } from "../floors/floors.js";
import { preparedSubject, rateSubject, type Iteration, type Subject } from "../measure.js";
import { OURS } from "../report.js";
import type { SuiteCase } from "../suite.js";
import { Latencies } from "./latency.js";
import type { ActorSizes } from "./sizes.js";
import { RemoteLight, callMany, type Light } from "./workload.js";

export const WAIT = { timeoutMs: 60_000 } as const;

/** Whoever has the method that is called. */
export type Called = ActorHandle<Pick<Light, "smallValue">>;

export interface CallCases {
  readonly sizes: ActorSizes;
  readonly links: "auto" | "nats";
  /** The floors of the run, once they are up. */
  readonly floors: () => Floors | undefined;
}

export function callCases({ sizes, links, floors }: CallCases): SuiteCase[] {
  const where = links === "nats" ? ", over the broker" : "";
  const onThisLink = (subject: { name: string }): boolean => links === "auto" || subject.name === "nats";
  const beside = (mode: FloorMode): Subject[] => (floors()?.subjects(mode) ?? []).filter(onThisLink);
  const shared = RemoteLight.options({ isolation: "shared" });
  const latencies = new Latencies();
  return [
    {
      name: `calls, one at a time${where}`,
      unit: "calls/s",
      better: "higher",
      beside: () => beside("sync"),
      ours: () => calling(() => [RemoteLight.remote()], oneAtATime, 1),
    },
    {
      name: `calls in flight${where}`,
      unit: "calls/s",
      better: "higher",
      note: `${sizes.calls} at a time`,
      beside: () => beside("async"),
      ours: () => calling(() => [RemoteLight.remote()], allAtOnce(sizes.calls), sizes.calls),
    },
    {
      name: `calls of ${sizes.shared} actors in a shared process${where}`,
      unit: "calls/s",
      better: "higher",
      beside: () => beside("async"),
      ours: () =>
        calling(
          () => Array.from({ length: sizes.shared }, () => shared.remote()),
          allAtOnce(sizes.shared),
          sizes.shared,
        ),
    },
    {
      name: `calls by ${sizes.callers} callers${where}`,
      unit: "calls/s",
      better: "higher",
      note: `${sizes.calls} each`,
      ours: () =>
        calling(
          () => [RemoteLight.remote()],
          byCallers(sizes.callers, sizes.calls),
          sizes.callers * sizes.calls,
        ),
    },
    {
      name: `call latency, median${where}`,
      unit: "µs",
      better: "lower",
      ours: () => latencies.subject(OURS, () => singleCalls(RemoteLight.remote())),
      beside: () =>
        (floors()?.callers() ?? [])
          .filter(onThisLink)
          .map(({ name, call }) => latencies.subject(name, async () => ({ call, async end() {} }))),
      more: (measured) => [latencies.tail(`call latency, p99${where}`, measured)],
    },
  ];
}

/** A subject that calls actors of its own again and again. */
export function calling(
  make: () => Called[],
  run: (actors: readonly Called[]) => Promise<void>,
  operations: number,
): Subject {
  return preparedSubject(OURS, async () => {
    const actors = make();
    await Promise.all(actors.map((actor) => ready(actor, WAIT)));
    const iteration: Iteration = {
      run: () => run(actors),
      async end() {
        await Promise.all(actors.map((actor) => kill(actor)));
      },
    };
    return rateSubject(OURS, iteration, operations);
  });
}

/** What a latency is measured of. */
export async function singleCalls(
  actor: Called,
): Promise<{ call: () => Promise<void>; end: () => Promise<void> }> {
  await ready(actor, WAIT);
  return { call: () => oneAtATime([actor]), end: () => kill(actor) };
}

export async function oneAtATime([actor]: readonly Called[]): Promise<void> {
  const ref = actor?.smallValue.remote();
  if (ref === undefined) return;
  await get(ref, WAIT);
  ref.release();
}

/** So many calls over the actors in turn. */
export function allAtOnce(count: number): (actors: readonly Called[]) => Promise<void> {
  return async (actors) => {
    const refs: ObjectRef<Uint8Array>[] = [];
    for (let i = 0; i < count; i++) {
      const actor = actors[i % actors.length];
      if (actor !== undefined) refs.push(actor.smallValue.remote());
    }
    await get(refs, WAIT);
    for (const ref of refs) ref.release();
  };
}

/** So many tasks call the first actor so often each. */
export function byCallers(callers: number, calls: number): (actors: readonly Called[]) => Promise<void> {
  return async ([actor]) => {
    if (actor === undefined) return;
    await get(
      Array.from({ length: callers }, () => callMany.remote(actor, calls)),
      WAIT,
    );
  };
}
