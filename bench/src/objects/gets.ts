/** get of large values that another process of the node wrote, and of many values at once. */
import { get, kill, put, ready, wait } from "stingray";
import type { ObjectRef } from "stingray";
import { checkStamp, randomData, sizeName } from "../data.js";
import { preparedSubject, rateSubject, sampledSubject } from "../measure.js";
import type { Measured, Sampling } from "../measure.js";
import { buildRow, OURS } from "../report.js";
import { mean, median } from "../stats.js";
import { listOfRefs, smallValue } from "../workload.js";
import { WAIT } from "./case.js";
import type { SuiteCase } from "../suite.js";
import { collect } from "./collect.js";
import type { ObjectSizes } from "./sizes.js";
import { makeData, RemoteMate } from "./workload.js";

/** A mapping takes the same time whatever its size; so many microseconds were asked for. */
const GET_TARGET_US = 200;
const MANY = 1000;
const MANY_VALUE_BYTES = 1024;

/** get of one size after the other: again and again, and of a value that this process has never read. */
export function getCases(sizes: ObjectSizes): SuiteCase[] {
  const all = [sizes.small, sizes.middle, sizes.large];
  const head = { unit: "µs", better: "lower", target: GET_TARGET_US } as const;
  const figure = (samples: readonly number[]): number => median(samples) * 1000;
  return [
    ...all.map((bytes): SuiteCase => {
      const name = `get ${sizeName(bytes)}`;
      const ours = () =>
        preparedSubject(OURS, async () => sampledSubject(OURS, await getAgain(bytes), figure));
      return { ...head, name, note: "put by an actor in another process; median of the round", ours };
    }),
    ...all.map((bytes): SuiteCase => {
      const name = `get ${sizeName(bytes)}, first time`;
      const ours = () => preparedSubject(OURS, async () => sampledSubject(OURS, getFirst(bytes), figure));
      return { ...head, name, note: "a new result of a task each time; median of the round", ours };
    }),
  ];
}

async function getAgain(bytes: number): Promise<Sampling> {
  const mate = RemoteMate.options({ cpus: 0 }).remote();
  await ready(mate, WAIT);
  const made = mate.make.remote(bytes, 1);
  const [ref] = await get(made, WAIT);
  return {
    async sample() {
      const start = performance.now();
      const data = await get(ref);
      const took = performance.now() - start;
      checkStamp(data, bytes, 1);
      return took;
    },
    async end() {
      ref.release();
      made.release();
      await kill(mate);
      await collect();
    },
  };
}

function getFirst(bytes: number): Sampling {
  let seed = 0;
  const sample = async (): Promise<number> => {
    const ref = makeData.remote(bytes, ++seed);
    await wait([ref], { ...WAIT, fetch: false });
    const start = performance.now();
    const data = await get(ref, WAIT);
    const took = performance.now() - start;
    checkStamp(data, bytes, seed);
    ref.release();
    return took;
  };
  return {
    async sample() {
      const took = await sample();
      // Not within `sample`, where the value is still on the stack. The next value needs the room of this one.
      await collect();
      return took;
    },
    end: collect,
  };
}

/** One get of a thousand references, and of a value with ten thousand references in it. */
export function manyCases(): SuiteCase[] {
  const perSecond = (samples: readonly number[]): number => 1000 / mean(samples);
  return [
    manyCase("get of 1,000 small values", async () => {
      const data = randomData(MANY_VALUE_BYTES);
      const refs: ObjectRef<Uint8Array>[] = [];
      for (let i = 0; i < MANY; i++) refs.push(await put(data));
      return sampledSubject(
        OURS,
        { sample: () => timed(refs), end: async () => refs.forEach((ref) => ref.release()) },
        perSecond,
      );
    }),
    manyCase("get of 1,000 small values of another process", async () => {
      const mate = RemoteMate.options({ cpus: 0 }).remote();
      await ready(mate, WAIT);
      const sample = async (): Promise<number> => {
        const list = mate.makeSmall.remote(MANY, MANY_VALUE_BYTES);
        const refs = await get(list, WAIT);
        const took = await timed(refs);
        for (const ref of [...refs, list]) ref.release();
        return took;
      };
      return sampledSubject(OURS, { sample, end: () => kill(mate) }, perSecond);
    }),
    manyCase("get of 1,000 task results", async () => {
      const sample = async (): Promise<number> => {
        const refs = Array.from({ length: MANY }, () => smallValue.remote());
        await wait(refs, { ...WAIT, count: MANY });
        const took = await timed(refs);
        for (const ref of refs) ref.release();
        return took;
      };
      return sampledSubject(OURS, { sample, async end() {} }, perSecond);
    }),
    {
      name: "get of an object with 10,000 references",
      unit: "gets/s",
      better: "higher",
      ours: () =>
        preparedSubject(OURS, async () => {
          const ref = listOfRefs.remote(10_000);
          const run = async (): Promise<void> => {
            for (const inner of await get(ref)) inner.release();
          };
          return rateSubject(OURS, { run, end: async () => ref.release() }, 1);
        }),
    },
  ];
}

async function timed(refs: readonly ObjectRef<Uint8Array>[]): Promise<number> {
  const start = performance.now();
  await get(refs, WAIT);
  return performance.now() - start;
}

function manyCase(name: string, prepare: () => Promise<ReturnType<typeof sampledSubject>>): SuiteCase {
  return {
    name,
    unit: "calls/s",
    better: "higher",
    ours: () => preparedSubject(OURS, prepare),
    more(measured: Measured) {
      const rounds = (measured.rounds.get(OURS) ?? []).map((value) => value * MANY);
      const references = { rounds: new Map([[OURS, rounds]]), failures: measured.failures };
      return [
        buildRow(
          { name: `${name}: references`, unit: "refs/s", better: "higher", reach: {}, notes: [] },
          references,
        ),
      ];
    },
  };
}
