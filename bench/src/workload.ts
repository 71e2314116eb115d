/**
 * The remote functions and actors of the benchmark. They stand in a module of their own because workers import it:
 * what the driver of the benchmark does must not run there.
 */
import { get, put, remote } from "stingray";
import type { ActorHandle, ObjectRef } from "stingray";

/** What every small call returns, as in Ray's suite. */
const OK = new Uint8Array([0x6f, 0x6b]);

export const smallValue = remote(function smallValue() {
  return OK;
});

/** The reference of each of `n` small objects, in one list. */
export const listOfRefs = remote(async function listOfRefs(n: number) {
  const refs: ObjectRef<number>[] = [];
  for (let i = 0; i < n; i++) refs.push(await put(1));
  return refs;
});

/** Puts `n` small objects and drops each at once. */
export const putMany = remote(async function putMany(n: number) {
  for (let i = 0; i < n; i++) (await put(0)).release();
});

export class Actor {
  smallValue() {
    return OK;
  }

  /** Submits `n` tasks and waits for all. */
  async taskBatch(n: number) {
    await get(Array.from({ length: n }, () => smallValue.remote()));
  }
}

export class AsyncActor {
  async smallValue() {
    return OK;
  }

  async smallValueWithArg(_value: number) {
    return OK;
  }
}

export class Client {
  #servers: ActorHandle<Actor>[];

  constructor(servers: ActorHandle<Actor>[]) {
    this.#servers = servers;
  }

  /** Calls each server `n` times and waits for all. */
  async callBatch(n: number) {
    await get(this.#servers.flatMap((server) => Array.from({ length: n }, () => server.smallValue.remote())));
  }
}

export const RemoteActor = remote(Actor);
export const RemoteAsyncActor = remote(AsyncActor);
export const RemoteClient = remote(Client);

/** Calls the actors in turn, `n` calls altogether, and waits for all. */
export const callInTurn = remote(async function callInTurn(actors: ActorHandle<Actor>[], n: number) {
  const refs: ObjectRef<Uint8Array>[] = [];
  for (let i = 0; i < n; i++) {
    const actor = actors[i % actors.length];
    if (actor) refs.push(actor.smallValue.remote());
  }
  await get(refs);
});
