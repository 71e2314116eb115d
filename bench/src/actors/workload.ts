/** The actors of the suite, in a module of their own because workers import it. */
import { get, remote } from "stingray";
import type { ActorHandle, ObjectRef } from "stingray";

const OK = new Uint8Array([0x6f, 0x6b]);

export class Light {
  smallValue(): Uint8Array {
    return OK;
  }

  /** Milliseconds since a time of the machine's clock. */
  since(time: number): number {
    return Date.now() - time;
  }
}
export const RemoteLight = remote({ cpus: 0 }, Light);

/** Its state is saved with the position of its mailbox. */
export class Saved {
  #n = 0;

  smallValue(): Uint8Array {
    this.#n++;
    return OK;
  }
  snapshot(): number {
    return this.#n;
  }
  restore(n: number): void {
    this.#n = n;
  }
}
export const RemoteSaved = remote({ cpus: 0 }, Saved);

/** Keeps a worker for a moment, so that so many are there afterwards. */
export const occupy = remote(async function occupy(ms: number) {
  await new Promise((turn) => setTimeout(turn, ms));
});

/** Calls an actor `n` times, all at once, and waits for all. */
export const callMany = remote(
  { cpus: 0 },
  async function callMany(actor: ActorHandle<Pick<Light, "smallValue">>, n: number) {
    const refs: ObjectRef<Uint8Array>[] = [];
    for (let i = 0; i < n; i++) refs.push(actor.smallValue.remote());
    await get(refs);
  },
);
