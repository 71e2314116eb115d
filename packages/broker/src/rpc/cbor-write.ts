/**
 * Writes plain values as CBOR (RFC 8949) at the end of a growing buffer, so that the messages of a frame are encoded
 * in place, behind each other, with no buffer and no copy per message.
 *
 * Why not a general library: it allocates a view per message, and it gives types (dates, sets, records) that the wire
 * does not have. What is not plain is refused here, where the stack still names the sender.
 */
import { SerializationError } from "@stingray/protocol";

/** Deepest nesting of arrays and maps, both ways. Bounds the stack; a cycle ends here. */
export const MAX_DEPTH = 128;
/** Buffers grow by doubling up to this many bytes, beyond it only as far as one message needs. */
const LARGEST_SLAB = 256 * 1024;
const SMALLEST_SLAB = 1024;
const EMPTY = Buffer.alloc(0);
/** Texts up to this length are written by a loop: below it the call into the runtime costs more. */
const LOOP_TEXT = 32;

export class Writer {
  /** Bytes once behind `start` are never overwritten: frames that were cut from it stay valid. */
  buffer: Buffer;
  /** Where the next byte goes. */
  at = 0;
  /** First byte that must stay together with what follows; what lies before it may be left behind in the old buffer. */
  start = 0;

  /** @param size bytes to begin with; 0: none until something is written */
  constructor(size: number) {
    this.buffer = size === 0 ? EMPTY : Buffer.allocUnsafeSlow(size);
  }

  /** Lets go of the buffer. What was cut from it stays valid. */
  release(): void {
    this.buffer = EMPTY;
    this.at = this.start = 0;
  }

  /** Makes room for `size` more bytes. */
  ensure(size: number): void {
    if (this.buffer.length - this.at < size) this.grow(size);
  }

  private grow(size: number): void {
    const kept = this.at - this.start;
    const wanted = Math.max(kept + size, SMALLEST_SLAB, Math.min(this.buffer.length * 2, LARGEST_SLAB));
    const larger = Buffer.allocUnsafeSlow(kept + size > LARGEST_SLAB / 2 ? wanted + (kept >> 1) : wanted);
    this.buffer.copy(larger, 0, this.start, this.at);
    this.buffer = larger;
    this.at = kept;
    this.start = 0;
  }

  /**
   * Appends one value: null, undefined, booleans, numbers, texts, `Uint8Array` (as a plain byte string), arrays, and
   * objects as maps of their own enumerable properties, those that are undefined left out.
   * @throws SerializationError for functions, symbols, bigints, Map, Set, Date and other typed arrays, and below 128
   *   levels. What was written until then lies between the old and the new `at`; the caller sets `at` back.
   */
  value(value: unknown, depth = 0): void {
    switch (typeof value) {
      case "number":
        return this.number(value);
      case "string":
        return this.text(value);
      case "boolean":
        return this.byte(value ? 0xf5 : 0xf4);
      case "undefined":
        return this.byte(0xf7);
      case "object":
        if (value === null) return this.byte(0xf6);
        if (depth > MAX_DEPTH) refuse(`a value nested deeper than ${MAX_DEPTH} levels, or a cycle,`);
        if (Array.isArray(value)) {
          this.head(0x80, value.length);
          for (let i = 0; i < value.length; i++) this.value(value[i], depth + 1);
          return;
        }
        if (value instanceof Uint8Array) return this.bytes(value);
        return this.map(value, depth);
      case "bigint":
      case "function":
      case "symbol":
        return refuse(`a ${typeof value}`);
    }
  }

  private byte(byte: number): void {
    if (this.at >= this.buffer.length) this.grow(1);
    this.buffer[this.at++] = byte;
  }

  /** The head of an item: `major` is the type in the upper three bits, `count` below 2^32. */
  head(major: number, count: number): void {
    if (this.buffer.length - this.at < 5) this.grow(5);
    const { buffer } = this;
    let { at } = this;
    if (count < 24) buffer[at++] = major | count;
    else if (count < 0x100) {
      buffer[at++] = major | 24;
      buffer[at++] = count;
    } else if (count < 0x10000) {
      buffer[at++] = major | 25;
      buffer[at++] = count >>> 8;
      buffer[at++] = count;
    } else {
      buffer[at] = major | 26;
      at = buffer.writeUInt32BE(count, at + 1);
    }
    this.at = at;
  }

  private number(value: number): void {
    if (value >>> 0 === value) return this.head(0x00, value);
    if (value >> 0 === value) return this.head(0x20, -1 - value);
    if (this.buffer.length - this.at < 9) this.grow(9);
    this.buffer[this.at] = 0xfb;
    this.at = this.buffer.writeDoubleBE(value, this.at + 1);
  }

  private text(value: string): void {
    const { length } = value;
    const most = length * 3 + 5;
    if (this.buffer.length - this.at < most) this.grow(most);
    const { buffer } = this;
    if (length <= LOOP_TEXT) {
      const headSize = length < 24 ? 1 : 2;
      const from = this.at + headSize;
      let i = 0;
      for (; i < length; i++) {
        const code = value.charCodeAt(i);
        if (code > 0x7f) break;
        buffer[from + i] = code;
      }
      if (i === length) {
        if (headSize === 1) buffer[this.at] = 0x60 | length;
        else {
          buffer[this.at] = 0x78;
          buffer[this.at + 1] = length;
        }
        this.at = from + length;
        return;
      }
    }
    // The length in bytes is known only afterwards: the head takes the width that the worst case needs.
    const headSize = length * 3 < 0x100 ? 2 : length * 3 < 0x10000 ? 3 : 5;
    const written = buffer.write(value, this.at + headSize, "utf8");
    buffer[this.at] = headSize === 2 ? 0x78 : headSize === 3 ? 0x79 : 0x7a;
    buffer.writeUIntBE(written, this.at + 1, headSize - 1);
    this.at += headSize + written;
  }

  private bytes(value: Uint8Array): void {
    const { length } = value;
    if (this.buffer.length - this.at < length + 5) this.grow(length + 5);
    this.head(0x40, length);
    this.buffer.set(value, this.at);
    this.at += length;
  }

  private map(value: object, depth: number): void {
    if (isForeign(value)) refuse(`an object of class ${value.constructor.name}`);
    const fields = value as Record<string, unknown>;
    const names = Object.keys(fields);
    let count = 0;
    for (const name of names) if (fields[name] !== undefined) count++;
    this.head(0xa0, count);
    for (const name of names) {
      const item = fields[name];
      if (item === undefined) continue;
      this.text(name);
      this.value(item, depth + 1);
    }
  }
}

function isForeign(value: object): boolean {
  return (
    value instanceof Map ||
    value instanceof Set ||
    value instanceof Date ||
    value instanceof RegExp ||
    value instanceof Promise ||
    value instanceof Error ||
    value instanceof ArrayBuffer ||
    ArrayBuffer.isView(value)
  );
}

function refuse(what: string): never {
  throw new SerializationError(
    `a message can't be sent: it holds ${what} where only plain values (null, booleans, numbers, texts, Uint8Array, arrays, ` +
      `plain objects) can stand; encode it to bytes first`,
  );
}
