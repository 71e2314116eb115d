import { get, kill, ready } from "stingray";
import { RemoteActor, smallValue } from "../workload.js";
import { fixed, repeat } from "./case.js";
import type { Case } from "./case.js";

const thousandTasks = repeat(async () => {
  const refs = Array.from({ length: 1000 }, () => smallValue.remote());
  await get(refs);
  // Python drops the list when the function ends; release() is the same here.
  for (const ref of refs) ref.release();
});

export const taskCases: readonly Case[] = [
  {
    name: "single client tasks and get batch",
    unit: "batches/s",
    operations: fixed(1),
    start: async () => thousandTasks,
  },
  {
    name: "single client tasks sync",
    unit: "tasks/s",
    operations: fixed(1),
    floors: "sync",
    reachRay: 10,
    async start() {
      return repeat(async () => {
        const ref = smallValue.remote();
        await get(ref);
        ref.release();
      });
    },
  },
  {
    name: "single client tasks async",
    unit: "tasks/s",
    operations: fixed(1000),
    floors: "async",
    reachRay: 15,
    start: async () => thousandTasks,
  },
  {
    name: "multi client tasks async",
    unit: "tasks/s",
    operations: (scale) => scale.clients * scale.tasksPerClient,
    note: (scale) =>
      scale.tasksPerClient < 10_000
        ? `scaled from 10,000 to ${scale.tasksPerClient} tasks per client`
        : undefined,
    async start(scale) {
      const actors = Array.from({ length: scale.clients }, () => RemoteActor.options({ cpus: 0 }).remote());
      await Promise.all(actors.map((actor) => ready(actor)));
      return {
        async run() {
          await get(actors.map((actor) => actor.taskBatch.remote(scale.tasksPerClient)));
        },
        async end() {
          await Promise.all(actors.map((actor) => kill(actor)));
        },
      };
    },
  },
];
