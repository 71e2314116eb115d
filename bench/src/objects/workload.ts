/** The remote functions and actors of the suite, in a module of their own because workers import it. */
import { get, put, remote } from "stingray";
import type { ObjectRef } from "stingray";
import { checkStamp, randomData, readStamp, stamp } from "../data.js";
import { WAIT } from "./case.js";
import { collect } from "./collect.js";

/** What this process sends; the last size only, since a worker is for one case at a time. */
let source: Uint8Array | undefined;

function stampedSource(bytes: number, seed: number): Uint8Array {
  if (source?.length !== bytes) source = randomData(bytes);
  stamp(source, seed);
  return source;
}

/** Random data as a task's result. */
export const makeData = remote(function makeData(bytes: number, seed: number) {
  return stampedSource(bytes, seed);
});

/** A process that writes and reads values for the driver. */
export class Mate {
  /** Puts random data; it lives as long as somebody has the reference. */
  async make(bytes: number, seed: number): Promise<[ObjectRef<Uint8Array>]> {
    return [await put(stampedSource(bytes, seed))];
  }

  /** Puts `n` small values of `bytes` each. */
  async makeSmall(n: number, bytes: number): Promise<ObjectRef<Uint8Array>[]> {
    const refs: ObjectRef<Uint8Array>[] = [];
    for (let i = 0; i < n; i++) refs.push(await put(stampedSource(bytes, i)));
    return refs;
  }

  /** Reads a few bytes spread over the value. */
  look(data: Uint8Array): number {
    return readStamp(data);
  }

  /** Sends back what came, with another stamp. */
  back(data: Uint8Array, seed: number): Uint8Array {
    stamp(data, seed);
    return data;
  }

  /** Gets a value and resolves to the milliseconds that this took. */
  async fetch([ref]: [ObjectRef<Uint8Array>], bytes: number, seed: number): Promise<number> {
    const start = performance.now();
    const data = await get(ref, WAIT);
    const took = performance.now() - start;
    checkStamp(data, bytes, seed);
    ref.release();
    return took;
  }

  /** Lets go of what is left of earlier calls. */
  async tidy(): Promise<void> {
    source = undefined;
    await collect();
  }
}

export const RemoteMate = remote(Mate);
