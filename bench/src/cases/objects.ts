import { get, put, wait } from "stingray";
import { randomData } from "../data.js";
import { listOfRefs, putMany, smallValue } from "../workload.js";
import { fixed, repeat } from "./case.js";
import type { Case } from "./case.js";

const MIB = 2 ** 20;

export const objectCases: readonly Case[] = [
  {
    name: "single client get calls (Plasma Store)",
    unit: "calls/s",
    operations: fixed(1),
    reachRay: 10,
    async start() {
      const ref = await put(0);
      return {
        async run() {
          await get(ref);
        },
        async end() {
          ref.release();
        },
      };
    },
  },
  {
    name: "single client put calls (Plasma Store)",
    unit: "calls/s",
    operations: fixed(1),
    reachRay: 10,
    async start() {
      // Python drops the reference at once; release() is the same here.
      return repeat(async () => (await put(0)).release());
    },
  },
  {
    name: "multi client put calls (Plasma Store)",
    unit: "calls/s",
    operations: fixed(1000),
    async start() {
      return repeat(async () => {
        await get(Array.from({ length: 10 }, () => putMany.remote(100)));
      });
    },
  },
  {
    name: "single client put gigabytes",
    unit: "GB/s",
    // Ray counts 800 MiB as 0.8.
    operations: (scale) => scale.putBytes / MIB / 1000,
    note: (scale) =>
      `random data that was touched, ${scale.putBytes / MIB} MiB` +
      (scale.putBytes < 800 * MIB ? " (800 MiB in Ray's suite)" : ""),
    async start(scale) {
      const data = randomData(scale.putBytes);
      return repeat(async () => (await put(data)).release());
    },
  },
  {
    name: "single client get object containing 10k refs",
    unit: "gets/s",
    operations: fixed(1),
    async start() {
      const ref = listOfRefs.remote(10_000);
      return {
        async run() {
          for (const inner of await get(ref)) inner.release();
        },
        async end() {
          ref.release();
        },
      };
    },
  },
  {
    name: "single client wait 1k refs",
    unit: "batches/s",
    operations: fixed(1),
    async start() {
      return repeat(async () => {
        let pending = Array.from({ length: 1000 }, () => smallValue.remote());
        while (pending.length > 0) {
          const [ready, rest] = await wait(pending);
          for (const ref of ready) ref.release();
          pending = rest;
        }
      });
    },
  },
];
