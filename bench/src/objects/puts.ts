/** put: into memory that is used again, into memory that is kept, and small values. */
import { get, init, put, shutdown } from "stingray";
import type { InitOptions, ObjectRef } from "stingray";
import { randomData, sizeName, stamp } from "../data.js";
import { preparedSubject, rateSubject, sampledSubject } from "../measure.js";
import type { Subject } from "../measure.js";
import { OURS } from "../report.js";
import { mean } from "../stats.js";
import { Shared, WAIT } from "./case.js";
import type { SuiteCase } from "../suite.js";
import type { ObjectSizes } from "./sizes.js";

const SMALL_VALUE_BYTES = 1024;
/** A memory copy is what no put can do without. From 64 MiB on this share of its speed was asked for. */
const SHARE_OF_MEMCPY = 0.8;

/** put of one size after the other, each reference released before the next. */
export function putCases(sizes: ObjectSizes): SuiteCase[] {
  return [sizes.small, sizes.middle, sizes.large].map((bytes) => {
    const source = new Shared(() => randomData(bytes));
    return {
      name: `put ${sizeName(bytes)}`,
      unit: "GB/s",
      better: "higher",
      ...(bytes >= sizes.middle ? { reach: { memcpy: SHARE_OF_MEMCPY } } : {}),
      ours: () =>
        preparedSubject(OURS, async () => {
          const data = source.get();
          let seed = 0;
          return rateSubject(
            OURS,
            {
              async run() {
                stamp(data, ++seed);
                (await put(data)).release();
              },
              end: async () => source.drop(),
            },
            bytes / 1e9,
          );
        }),
      beside: () => [memcpy(source, bytes)],
    };
  });
}

/** put into memory that no value had before: each round has a cluster of its own, and releases nothing. */
export function keptCase(sizes: ObjectSizes, cluster: InitOptions): SuiteCase {
  const bytes = sizes.middle;
  const source = new Shared(() => randomData(bytes));
  const round = async (): Promise<number> => {
    const data = source.get();
    await init({ ...cluster, objectStoreMemory: (sizes.kept + 2) * bytes });
    try {
      // The way there is used once; the memory is not.
      const first = await put(data.subarray(0, sizes.small));
      await get(first, WAIT);
      const kept: ObjectRef<Uint8Array>[] = [];
      const start = performance.now();
      for (let i = 0; i < sizes.kept; i++) {
        stamp(data, i);
        kept.push(await put(data));
      }
      const seconds = (performance.now() - start) / 1000;
      for (const ref of [first, ...kept]) ref.release();
      return (kept.length * bytes) / 1e9 / seconds;
    } finally {
      await shutdown();
    }
  };
  return {
    name: `put ${sizeName(bytes)}, kept`,
    unit: "GB/s",
    better: "higher",
    note: `${sizes.kept} values into a new store, nothing released before the end of the round`,
    ours: () => ({
      name: OURS,
      async warmUp() {
        await round();
      },
      round,
      end: async () => source.drop(),
    }),
    beside: () => [memcpy(source, bytes)],
  };
}

/** put and get of a small value, one at a time. */
export function smallCases(): SuiteCase[] {
  return [
    {
      name: "put small value",
      unit: "calls/s",
      better: "higher",
      target: 50_000,
      note: sizeName(SMALL_VALUE_BYTES),
      ours: () =>
        preparedSubject(OURS, async () => {
          const data = randomData(SMALL_VALUE_BYTES);
          const run = async (): Promise<void> => (await put(data)).release();
          return rateSubject(OURS, { run, async end() {} }, 1);
        }),
    },
    {
      name: "get small value",
      unit: "calls/s",
      better: "higher",
      note: sizeName(SMALL_VALUE_BYTES),
      ours: () =>
        preparedSubject(OURS, async () => {
          const ref = await put(randomData(SMALL_VALUE_BYTES));
          const run = async (): Promise<void> => void (await get(ref));
          return rateSubject(OURS, { run, end: async () => ref.release() }, 1);
        }),
    },
  ];
}

/** A plain copy from one touched part of the heap to another. */
function memcpy(source: Shared<Uint8Array>, bytes: number): Subject {
  return preparedSubject("memcpy", async () => {
    const from = source.get();
    const to = new Shared(() => new Uint8Array(bytes).fill(1));
    return sampledSubject(
      "memcpy",
      {
        async sample() {
          const target = to.get();
          const start = performance.now();
          target.set(from);
          return performance.now() - start;
        },
        async end() {
          to.drop();
          source.drop();
        },
      },
      (samples) => bytes / 1e6 / mean(samples),
    );
  });
}
