/** Reads primitives out of untrusted bytes: every read is checked against the end. */
import { SerializationError } from "@stingray/protocol";
import { Tag } from "./format.js";

/** Names and short texts repeat over messages: looked up by their bytes, they need not be made again. */
const CACHE_SIZE = 2048;
const CACHED_LENGTH = 24;
const cache: string[] = Array.from({ length: CACHE_SIZE }, () => "");

export class Reader {
  protected pos = 0;
  private readonly view: DataView;
  private text_: Buffer | undefined;

  /** @param end where this part of `bytes` ends */
  constructor(
    protected readonly bytes: Uint8Array,
    protected end: number,
  ) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  protected malformed(what: string): SerializationError {
    return new SerializationError(
      `malformed value: ${what} at byte ${this.pos} of ${this.bytes.length}; it was damaged, or written by another version`,
    );
  }

  protected need(bytes: number): void {
    if (bytes > this.end - this.pos) throw this.malformed(`it ends ${bytes} bytes early`);
  }

  /** For counts of items that take at least `each` bytes: keeps a false count from taking memory. */
  protected checkCount(count: number, each: number): number {
    if (count * each > this.end - this.pos) throw this.malformed(`${count} items announced`);
    return count;
  }

  protected u8(): number {
    this.need(1);
    return this.bytes[this.pos++] as number;
  }
  protected u16(): number {
    this.need(2);
    const n = this.view.getUint16(this.pos, true);
    this.pos += 2;
    return n;
  }
  protected u32(): number {
    this.need(4);
    const n = this.view.getUint32(this.pos, true);
    this.pos += 4;
    return n;
  }
  protected i32(): number {
    this.need(4);
    const n = this.view.getInt32(this.pos, true);
    this.pos += 4;
    return n;
  }
  protected f64(): number {
    this.need(8);
    const n = this.view.getFloat64(this.pos, true);
    this.pos += 8;
    return n;
  }
  /** An f64 that is a length or offset. */
  protected size(): number {
    const n = this.f64();
    if (!Number.isSafeInteger(n) || n < 0) throw this.malformed("a bad size");
    return n;
  }
  protected varint(): number {
    let n = 0;
    let unit = 1;
    for (let i = 0; i < 8; i++) {
      const byte = this.u8();
      n += (byte & 0x7f) * unit;
      if (byte < 0x80) {
        if (!Number.isSafeInteger(n)) break;
        return n;
      }
      unit *= 0x80;
    }
    throw this.malformed("a bad number");
  }

  protected bigint64(): bigint {
    this.need(8);
    const n = this.view.getBigInt64(this.pos, true);
    this.pos += 8;
    return n;
  }
  protected bigintHex(): bigint {
    const negative = this.u8() !== 0;
    const digits = this.string();
    if (!/^[0-9a-f]+$/.test(digits)) throw this.malformed("a bad bigint");
    const n = BigInt(`0x${digits}`);
    return negative ? -n : n;
  }

  /** An item that must be a string. */
  protected string(): string {
    const text = this.textOf(this.u8());
    if (text === undefined) throw this.malformed("no string where one belongs");
    return text;
  }

  /** The string with this tag; undefined if it is the tag of something else. */
  protected textOf(tag: number): string | undefined {
    if (tag >= Tag.ShortAscii && tag < Tag.ShortArray) return this.shortAscii(tag & 0x1f);
    switch (tag) {
      case Tag.Ascii8:
        return this.slice("latin1", this.u8());
      case Tag.Ascii32:
        return this.slice("latin1", this.u32());
      case Tag.Utf8:
        return this.slice("utf8", this.u8());
      case Tag.Utf8_32:
        return this.slice("utf8", this.u32());
      case Tag.Utf16:
        return this.slice("utf16le", this.u32());
      default:
        return undefined;
    }
  }

  protected shortAscii(length: number): string {
    this.need(length);
    if (length > CACHED_LENGTH) return this.slice("latin1", length);
    const bytes = this.bytes;
    const from = this.pos;
    let hash = length;
    for (let i = 0; i < length; i++) hash = (hash * 31 + (bytes[from + i] as number)) | 0;
    const at = (hash ^ (hash >>> 11)) & (CACHE_SIZE - 1);
    const known = cache[at] as string;
    if (known.length === length) {
      let i = 0;
      while (i < length && known.charCodeAt(i) === bytes[from + i]) i++;
      if (i === length) {
        this.pos += length;
        return known;
      }
    }
    const text = this.slice("latin1", length);
    cache[at] = text;
    return text;
  }

  private slice(encoding: "latin1" | "utf8" | "utf16le", length: number): string {
    this.need(length);
    this.text_ ??= Buffer.from(this.bytes.buffer, this.bytes.byteOffset, this.bytes.byteLength);
    const from = this.pos;
    this.pos += length;
    return this.text_.toString(encoding, from, this.pos);
  }
}
