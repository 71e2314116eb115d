/**
 * Reads plain values from CBOR (RFC 8949). Bytes from the network decide nothing but data here: no tags, no classes,
 * no generated code, lengths are checked before anything is allocated, nesting is bounded, and whatever is not plain
 * is a ProtocolError.
 */
import { ProtocolError } from "@stingray/protocol";
import { MAX_DEPTH } from "./cbor-write.js";

/** Short texts repeat (methods, ids, resource names): a table of the last ones seen saves making them again. */
const CACHED_TEXT = 24;
const CACHE_SLOTS = 2048;
const cache: (string | undefined)[] = Array.from({ length: CACHE_SLOTS });
/** Byte strings of this size and more that are most of their buffer are given as views of it, others as copies. */
const VIEW_FROM = 4096;
/** Up to this size the runtime keeps the bytes of an array inside its heap, where a loop is the fastest copy. */
const HEAP_BYTES = 64;
/** Copies up to this size share small buffers: making a buffer costs more than the copy. */
const POOLED_BYTES = 2048;
const POOL_SIZE = 16 * 1024;
let pool = Buffer.allocUnsafeSlow(POOL_SIZE);
let poolAt = 0;
/** Arrays up to this length are made in one piece; of longer ones only as much as really arrives. */
const SURE_ITEMS = 64;

// The state of the one read in progress. Reading never calls out, so it is never entered twice.
let source: Buffer;
let at = 0;
let end = 0;

/** Where the item ended that `readItem` returned last. */
export function itemEnd(): number {
  return at;
}

/**
 * The item that starts at `from` and ends at `to` at the latest.
 * @throws ProtocolError for what is cut off, nested too deep, or no plain value
 */
export function readItem(buffer: Buffer, from: number, to: number): unknown {
  source = buffer;
  at = from;
  end = to;
  return read(0);
}

function malformed(what: string): never {
  throw new ProtocolError(`malformed CBOR at byte ${at}: ${what}; is the peer of the same version?`);
}

function read(depth: number): unknown {
  if (at >= end) malformed("the item is cut off");
  const first = source[at++]!;
  if (first < 24) return first;
  const major = first >> 5;
  let count = first & 0x1f;
  if (count > 23 || major === 7) {
    if (major === 7) return simple(count);
    count = argument(count);
  }
  switch (major) {
    case 0:
      return count;
    case 1:
      return -1 - count;
    case 2:
      return bytes(count);
    case 3:
      return text(count);
    case 4:
      return array(count, depth);
    case 5:
      return map(count, depth);
    default:
      return malformed(`tag ${count} (tags are not part of the protocol)`);
  }
}

function argument(width: number): number {
  let value: number;
  switch (width) {
    case 24:
      need(1);
      return source[at++]!;
    case 25:
      need(2);
      value = (source[at]! << 8) | source[at + 1]!;
      at += 2;
      return value;
    case 26:
      need(4);
      value =
        ((source[at]! << 24) | (source[at + 1]! << 16) | (source[at + 2]! << 8) | source[at + 3]!) >>> 0;
      at += 4;
      return value;
    case 27:
      need(8);
      value = source.readUInt32BE(at) * 0x1_0000_0000 + source.readUInt32BE(at + 4);
      at += 8;
      if (value > Number.MAX_SAFE_INTEGER) malformed("a whole number beyond 2^53");
      return value;
    default:
      return malformed(`items of indefinite length are not part of the protocol`);
  }
}

function need(size: number): void {
  if (size > end - at) malformed("the item is cut off");
}

function simple(code: number): unknown {
  let value: number;
  switch (code) {
    case 20:
      return false;
    case 21:
      return true;
    case 22:
      return null;
    case 23:
      return undefined;
    case 25:
      need(2);
      value = half((source[at]! << 8) | source[at + 1]!);
      at += 2;
      return value;
    case 26:
      need(4);
      value = source.readFloatBE(at);
      at += 4;
      return value;
    case 27:
      need(8);
      value = source.readDoubleBE(at);
      at += 8;
      return value;
    default:
      return malformed(`simple value ${code}`);
  }
}

/** Half precision is never written here, but is the preferred form of small floats in other implementations. */
function half(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : Number.NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

function bytes(length: number): Uint8Array {
  need(length);
  const from = at;
  at += length;
  if (length <= HEAP_BYTES) {
    const copy = new Uint8Array(length);
    for (let i = 0; i < length; i++) copy[i] = source[from + i]!;
    return copy;
  }
  // Receive buffers are never written again, so a view is safe; it is taken only where it keeps alive little else.
  if (length >= VIEW_FROM && length * 2 >= source.buffer.byteLength)
    return new Uint8Array(source.buffer, source.byteOffset + from, length);
  if (length > POOLED_BYTES) return new Uint8Array(source.subarray(from, at));
  if (poolAt + length > POOL_SIZE) {
    pool = Buffer.allocUnsafeSlow(POOL_SIZE);
    poolAt = 0;
  }
  const copy = new Uint8Array(pool.buffer, poolAt, length);
  source.copy(pool, poolAt, from, at);
  poolAt = (poolAt + length + 7) & ~7;
  return copy;
}

function text(length: number): string {
  need(length);
  const from = at;
  at += length;
  if (length > CACHED_TEXT) return source.toString("utf8", from, at);
  let hash = length;
  for (let i = 0; i < length; i++) {
    const byte = source[from + i]!;
    if (byte > 0x7f) return source.toString("utf8", from, at);
    hash = (Math.imul(hash, 31) + byte) | 0;
  }
  const slot = (hash ^ (hash >>> 15)) & (CACHE_SLOTS - 1);
  const seen = cache[slot];
  if (seen !== undefined && seen.length === length) {
    let i = 0;
    while (i < length && seen.charCodeAt(i) === source[from + i]) i++;
    if (i === length) return seen;
  }
  const fresh = source.toString("latin1", from, at);
  cache[slot] = fresh;
  return fresh;
}

function array(length: number, depth: number): unknown[] {
  if (depth >= MAX_DEPTH) malformed(`nested deeper than ${MAX_DEPTH} levels`);
  need(length); // an item takes a byte at least: a short message can't make us allocate a long array
  if (length <= SURE_ITEMS) {
    // oxlint-disable-next-line unicorn/no-new-array -- one allocation, and no hole is left
    const items = new Array<unknown>(length);
    for (let i = 0; i < length; i++) items[i] = read(depth + 1);
    return items;
  }
  const items: unknown[] = [];
  for (let i = 0; i < length; i++) items.push(read(depth + 1));
  return items;
}

function map(length: number, depth: number): Record<string, unknown> {
  if (depth >= MAX_DEPTH) malformed(`nested deeper than ${MAX_DEPTH} levels`);
  need(length * 2);
  const fields: Record<string, unknown> = {};
  for (let i = 0; i < length; i++) {
    const name = read(depth + 1);
    if (typeof name !== "string") malformed("the name of a field is no text");
    const value = read(depth + 1);
    // An own property, whatever its name: plain assignment to `__proto__` would change the prototype.
    if (name === "__proto__")
      Object.defineProperty(fields, name, { value, enumerable: true, configurable: true, writable: true });
    else fields[name] = value;
  }
  return fields;
}
