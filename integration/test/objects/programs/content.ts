/** Contents of objects that any process can make and check from a number: a mixed-up byte, page or part shows. */
import { createCipheriv } from "node:crypto";

/** What an object holds. */
export interface Piece {
  readonly seed: number;
  /** Bytes. */
  readonly length: number;
}

/** Odd, so that no page of an object is like another page of it, or of one that begins elsewhere. */
const PERIOD = (1 << 20) + 7;
let noise: Uint8Array | undefined;

function pattern(): Uint8Array {
  const cipher = createCipheriv("aes-128-ctr", Buffer.alloc(16, 7), Buffer.alloc(16));
  return (noise ??= cipher.update(Buffer.alloc(PERIOD)));
}

function* chunks({ seed, length }: Piece): Iterable<[at: number, bytes: Uint8Array]> {
  const source = pattern();
  let from = Math.imul(seed + 1, 0x9e3779b1) >>> 0;
  for (let at = 0; at < length;) {
    from %= PERIOD;
    const bytes = source.subarray(from, Math.min(PERIOD, from + length - at));
    yield [at, bytes];
    at += bytes.length;
    from += bytes.length;
  }
}

export function content(piece: Piece): Uint8Array {
  const bytes = new Uint8Array(Buffer.allocUnsafeSlow(piece.length).buffer);
  for (const [at, part] of chunks(piece)) bytes.set(part, at);
  return bytes;
}

/** @throws Error that says what is wrong with it, and where */
export function expectContent(bytes: Uint8Array, piece: Piece): void {
  const { seed, length } = piece;
  if (bytes.length !== length)
    throw new Error(`content ${seed} has ${bytes.length} bytes instead of ${length}`);
  for (const [at, part] of chunks(piece)) {
    const seen = bytes.subarray(at, at + part.length);
    if (Buffer.compare(seen, part) === 0) continue;
    const wrong = seen.findIndex((byte, i) => byte !== part[i]);
    throw new Error(`content ${seed} (${length} bytes) is wrong from byte ${at + wrong}`);
  }
}

/** Numbers from 0 to below 1, the same for the same seed. */
export function randomFrom(seed: number): () => number {
  let state = Math.imul(seed + 1, 0x85ebca6b);
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** In another order, the same for the same seed. */
export function shuffled<T>(items: readonly T[], seed: number): T[] {
  const random = randomFrom(seed);
  return items
    .map((item) => ({ item, key: random() }))
    .toSorted((a, b) => a.key - b.key)
    .map(({ item }) => item);
}
