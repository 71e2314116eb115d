/** What the leak test has other processes do: make, keep and drop many objects. */
import { get, put, remote, type ObjectRef } from "stingray";
import { countObjects, type Counts } from "../../fixtures/objects.js";

export interface Box {
  readonly ref: ObjectRef<number>;
}
export interface Boxes {
  readonly refs: readonly ObjectRef<number>[];
}

export const number = remote((n: number): number => n);
export const sum = remote((...numbers: number[]): number => numbers.reduce((a, b) => a + b, 0));
export const large = remote((length: number): Float64Array => new Float64Array(length).fill(1));
export const lengthOf = remote((array: Float64Array): number => array.length);
/** All of them are this worker's own. */
export const boxes = remote(async (n: number): Promise<Boxes> => ({
  refs: await Promise.all(Array.from({ length: n }, (_, i) => put(i))),
}));
/** Reads them one by one; what it was given is somebody else's. */
export const sumOfBoxes = remote(async ({ refs }: Boxes): Promise<number> =>
  (await get([...refs])).reduce((a, b) => a + b, 0),
);
/** Begins tasks and puts of its own, and forgets them. */
export const forgetful = remote(async (n: number): Promise<number> => {
  for (let i = 0; i < n; i++) await put({ i });
  const refs = Array.from({ length: n / 10 }, (_, i) => number.remote(i));
  await get(refs.slice(0, 1));
  return n;
});

class HoarderActor {
  private kept: (ObjectRef | Boxes)[] = [];

  keep(...given: (Box | Boxes)[]): number {
    for (const one of given) this.kept.push("ref" in one ? one.ref : one);
    return this.kept.length;
  }
  async make(n: number): Promise<Boxes> {
    const refs = await Promise.all(Array.from({ length: n }, (_, i) => put(i)));
    this.kept.push(...refs);
    return { refs };
  }
  /** Half of them in so many words, half for the garbage collector to find. */
  drop(): void {
    for (const [i, one] of this.kept.entries()) if (i % 2 === 0 && "release" in one) one.release();
    this.kept = [];
  }
  counts(): Promise<Counts> {
    return countObjects();
  }
}
export const Hoarder = remote({ cpus: 0 }, HoarderActor);
