/** Which chunks of one pull are asked of whom: each of one source at a time, so that only one ever writes to its place. */
import type { ChunkMap } from "./chunks.js";

/** A source as the plan sees it. */
export interface Asker {
  /** It may be asked at the moment, or will be before long. */
  readonly usable: boolean;
  /** It has all chunks, and offers all of them. */
  readonly unrestricted: boolean;
  /** It has the chunk, and offers it or `insist`. */
  can(index: number, insist: boolean): boolean;
}

const MISSING = 0;
const CLAIMED = 1;
const HERE = 2;
/** Of so many chunks that could be asked for next, the rarest is. */
const SAMPLE = 6;

export class Plan {
  readonly #states: Uint8Array;
  readonly #askers: ReadonlySet<Asker>;
  /** Who has sent a chunk damaged: others are asked first. */
  readonly #spoiled = new Map<number, Set<Asker>>();
  #missing = 0;
  #left = 0;
  #cursor: number;

  constructor(chunks: ChunkMap, askers: ReadonlySet<Asker>) {
    this.#askers = askers;
    this.#states = new Uint8Array(chunks.count);
    for (let i = 0; i < chunks.count; i++) {
      if (chunks.has(i)) this.#states[i] = HERE;
      else this.#missing++;
    }
    this.#left = this.#missing;
    // Those who pull the same object start at different places, so that they have something for each other.
    this.#cursor = Math.floor(Math.random() * chunks.count);
  }

  /** Chunks that are not here. */
  get left(): number {
    return this.#left;
  }
  /** Of them, those that nobody was asked for. */
  get missing(): number {
    return this.#missing;
  }

  /** The next chunk to be asked of this one; it is claimed until `release` or `done`. */
  claim(asker: Asker, insist: boolean): number | undefined {
    if (this.#missing === 0) return undefined;
    const index = this.#pick(asker, insist);
    if (index === undefined) return undefined;
    this.#states[index] = CLAIMED;
    this.#missing--;
    return index;
  }

  /** It did not come. */
  release(index: number): void {
    if (this.#states[index] !== CLAIMED) return;
    this.#states[index] = MISSING;
    this.#missing++;
  }

  /** It came damaged. */
  spoiled(index: number, asker: Asker): void {
    this.release(index);
    const by = this.#spoiled.get(index);
    if (by === undefined) this.#spoiled.set(index, new Set([asker]));
    else by.add(asker);
  }

  done(index: number): void {
    if (this.#states[index] === HERE) return;
    if (this.#states[index] === MISSING) this.#missing--;
    this.#states[index] = HERE;
    this.#left--;
    this.#spoiled.delete(index);
  }

  #pick(asker: Asker, insist: boolean): number | undefined {
    const count = this.#states.length;
    const inOrder = asker.unrestricted && this.#spoiled.size === 0 && this.#askers.size === 1;
    const start = inOrder ? this.#cursor : Math.floor(Math.random() * count);
    let best: number | undefined;
    let bestCopies = Number.POSITIVE_INFINITY;
    let found = 0;
    for (let at = start, wrapped = false; ; at++) {
      at = this.#states.indexOf(MISSING, at);
      if (at === -1 && !wrapped) {
        wrapped = true;
        at = this.#states.indexOf(MISSING);
      }
      if (at === -1 || (wrapped && at >= start)) return best;
      if (!asker.can(at, insist) || this.#others(at, asker)) continue;
      if (inOrder) {
        this.#cursor = at + 1;
        return at;
      }
      const copies = this.#copies(at);
      if (copies < bestCopies) [best, bestCopies] = [at, copies];
      if (++found === SAMPLE) return best;
    }
  }

  /** Others should be asked for it, because this one has sent it damaged. */
  #others(index: number, asker: Asker): boolean {
    const by = this.#spoiled.get(index);
    if (by === undefined || !by.has(asker)) return false;
    for (const other of this.#askers)
      if (other.usable && !by.has(other) && other.can(index, true)) return true;
    return false;
  }

  #copies(index: number): number {
    let copies = 0;
    for (const asker of this.#askers) if (asker.usable && asker.can(index, false)) copies++;
    return copies;
  }
}
