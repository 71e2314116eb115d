import { get, kill, ready } from "stingray";
import type { ObjectRef } from "stingray";
import { callInTurn, RemoteActor, RemoteAsyncActor, RemoteClient } from "../workload.js";
import type { Iteration } from "../measure.js";
import { fixed } from "./case.js";
import type { Case } from "./case.js";

const CALLS = 1000;
/** The limit that Ray gives actors with async methods. */
const ASYNC_CONCURRENCY = 1000;

type Handle = Parameters<typeof kill>[0];

/** Waits until the actors are alive, since starting them is not what is measured, and ends them afterwards. */
async function withActors(actors: readonly Handle[], run: () => Promise<void>): Promise<Iteration> {
  await Promise.all(actors.map((actor) => ready(actor)));
  return {
    run,
    async end() {
      await Promise.all(actors.map((actor) => kill(actor)));
    },
  };
}

async function getAndRelease(refs: ObjectRef<Uint8Array>[]): Promise<void> {
  await get(refs);
  for (const ref of refs) ref.release();
}

function oneByOne(call: () => ObjectRef<Uint8Array>): () => Promise<void> {
  return async () => {
    const ref = call();
    await get(ref);
    ref.release();
  };
}

function thousand(call: (i: number) => ObjectRef<Uint8Array>): () => Promise<void> {
  return () => getAndRelease(Array.from({ length: CALLS }, (_, i) => call(i)));
}

const calls = { unit: "calls/s" } as const;

export const actorCases: readonly Case[] = [
  {
    ...calls,
    name: "1:1 actor calls sync",
    operations: fixed(1),
    floors: "sync",
    reachRay: 10,
    async start() {
      const actor = RemoteActor.options({ cpus: 0 }).remote();
      return withActors(
        [actor],
        oneByOne(() => actor.smallValue.remote()),
      );
    },
  },
  {
    ...calls,
    name: "1:1 actor calls async",
    operations: fixed(CALLS),
    floors: "async",
    reachRay: 15,
    async start() {
      const actor = RemoteActor.options({ cpus: 0 }).remote();
      return withActors(
        [actor],
        thousand(() => actor.smallValue.remote()),
      );
    },
  },
  {
    ...calls,
    name: "1:1 actor calls concurrent",
    operations: fixed(CALLS),
    floors: "async",
    async start() {
      const actor = RemoteActor.options({ cpus: 0, maxConcurrency: 16 }).remote();
      return withActors(
        [actor],
        thousand(() => actor.smallValue.remote()),
      );
    },
  },
  {
    ...calls,
    name: "1:n actor calls async",
    operations: (scale) => scale.actors * scale.callsPerClient,
    note: (scale) => scaled(scale.actors, scale.callsPerClient),
    async start(scale) {
      const servers = Array.from({ length: scale.actors }, () => RemoteActor.options({ cpus: 0 }).remote());
      const client = RemoteClient.options({ cpus: 0 }).remote(servers);
      return withActors([...servers, client], async () => {
        await get(client.callBatch.remote(scale.callsPerClient));
      });
    },
  },
  {
    ...calls,
    name: "n:n actor calls async",
    operations: (scale) => scale.clients * scale.callsPerClient,
    note: (scale) => scaled(scale.actors, scale.callsPerClient),
    async start(scale) {
      const servers = Array.from({ length: scale.actors }, () => RemoteActor.options({ cpus: 0 }).remote());
      return withActors(servers, async () => {
        await get(
          Array.from({ length: scale.clients }, () => callInTurn.remote(servers, scale.callsPerClient)),
        );
      });
    },
  },
  {
    ...calls,
    name: "1:1 async-actor calls sync",
    operations: fixed(1),
    floors: "sync",
    async start() {
      const actor = RemoteAsyncActor.options({ cpus: 0, maxConcurrency: ASYNC_CONCURRENCY }).remote();
      return withActors(
        [actor],
        oneByOne(() => actor.smallValue.remote()),
      );
    },
  },
  {
    ...calls,
    name: "1:1 async-actor calls async",
    operations: fixed(CALLS),
    floors: "async",
    async start() {
      const actor = RemoteAsyncActor.options({ cpus: 0, maxConcurrency: ASYNC_CONCURRENCY }).remote();
      return withActors(
        [actor],
        thousand(() => actor.smallValue.remote()),
      );
    },
  },
  {
    ...calls,
    name: "1:1 async-actor calls with args async",
    operations: fixed(CALLS),
    floors: "async",
    async start() {
      const actor = RemoteAsyncActor.options({ cpus: 0, maxConcurrency: ASYNC_CONCURRENCY }).remote();
      return withActors(
        [actor],
        thousand((i) => actor.smallValueWithArg.remote(i)),
      );
    },
  },
];

function scaled(actors: number, callsEach: number): string | undefined {
  const changes = [
    ...(actors < 32 ? [`from 32 to ${actors} actors`] : []),
    ...(callsEach < 5000 ? [`from 5,000 to ${callsEach} calls`] : []),
  ];
  return changes.length > 0 ? `scaled ${changes.join(", ")}` : undefined;
}
