/**
 * Writes primitives into a chunk of memory. Finished values are handed out as slices of the chunk, one behind the
 * other, so that a small value costs neither an allocation of its own nor a copy.
 */
import { markAsUntransferable } from "node:worker_threads";
import { HEADER_SIZE, SMALL_ALIGN, Tag, alignUp } from "./format.js";

const CHUNK = 32 * 1024;
/** A new value begins a new chunk if less than this is left. Bytes. */
const LEAST_ROOM = 1024;
/** Larger values get memory of their own, so that keeping one does not keep a chunk of others. Bytes. */
const LARGEST_SHARED = 4 * 1024;
/** Up to this many characters are looked at one by one; beyond it the native writer is faster. */
const SHORT_TEXT = 31;
/** Up to three bytes per UTF-16 unit: what fits into a one-byte length whatever the text is. */
const TEXT_FITS_U8 = 85;
const LONG_TEXT = 1 << 20;

type WithWellFormed = { isWellFormed(): boolean };

/** Several values share a chunk: transferring one of them to a thread must not take the others away. */
function newChunk(size: number): Buffer {
  const chunk = Buffer.allocUnsafeSlow(size);
  markAsUntransferable(chunk.buffer);
  return chunk;
}

export class Writer {
  protected buf: Buffer = newChunk(CHUNK);
  private view = new DataView(this.buf.buffer);
  protected pos = 0;
  /** Where the value being written begins. */
  protected start = 0;

  protected begin(): void {
    this.pos = alignUp(this.pos, SMALL_ALIGN);
    if (this.pos + LEAST_ROOM > this.buf.length) this.newBuffer(CHUNK, 0);
    this.start = this.pos;
    this.pos += HEADER_SIZE;
  }

  /** Forgets what was written since `begin`. */
  protected abandon(): void {
    this.pos = this.start;
    if (this.buf.length > CHUNK) this.newBuffer(CHUNK, 0);
  }

  /** The bytes since `begin`; the writer goes on behind them. */
  protected take(): Uint8Array {
    const size = this.pos - this.start;
    if (size <= LARGEST_SHARED) return new Uint8Array(this.buf.buffer, this.start, size);
    const whole = new Uint8Array(this.buf.buffer, this.start, size);
    if (this.buf.length > CHUNK) {
      const keep = size * 2 >= this.buf.length;
      const result = keep ? whole : whole.slice();
      this.newBuffer(CHUNK, 0);
      return result;
    }
    this.pos = this.start;
    return whole.slice();
  }

  private newBuffer(size: number, keep: number): void {
    const next = newChunk(size);
    if (keep > 0) this.buf.copy(next, 0, this.start, this.start + keep);
    this.buf = next;
    this.view = new DataView(next.buffer);
    this.start = 0;
    this.pos = keep;
  }

  protected ensure(bytes: number): void {
    if (this.pos + bytes > this.buf.length) {
      const used = this.pos - this.start;
      this.newBuffer(Math.max(CHUNK, (used + bytes) * 2), used);
    }
  }

  protected u8(n: number): void {
    this.ensure(1);
    this.buf[this.pos++] = n;
  }
  protected u32(n: number): void {
    this.ensure(4);
    this.view.setUint32(this.pos, n, true);
    this.pos += 4;
  }
  protected f64(n: number): void {
    this.ensure(8);
    this.view.setFloat64(this.pos, n, true);
    this.pos += 8;
  }
  protected patchU8(at: number, n: number): void {
    this.buf[this.start + at] = n;
  }
  protected patchU32(at: number, n: number): void {
    this.view.setUint32(this.start + at, n, true);
  }
  protected patchF64(at: number, n: number): void {
    this.view.setFloat64(this.start + at, n, true);
  }
  protected varint(n: number): void {
    this.ensure(8);
    while (n > 0x7f) {
      this.buf[this.pos++] = (n % 0x80) | 0x80;
      n = n < 0x80000000 ? n >>> 7 : Math.floor(n / 0x80);
    }
    this.buf[this.pos++] = n;
  }

  protected number(n: number): void {
    this.ensure(9);
    const int = n | 0;
    if (int === n && (n !== 0 || 1 / n > 0)) {
      if (int >= 0 && int < 64) this.buf[this.pos++] = int;
      else if (int >= 0 && int < 0x100) {
        this.buf[this.pos++] = Tag.Uint8;
        this.buf[this.pos++] = int;
      } else if (int >= 0 && int < 0x10000) {
        this.buf[this.pos++] = Tag.Uint16;
        this.view.setUint16(this.pos, int, true);
        this.pos += 2;
      } else {
        this.buf[this.pos++] = Tag.Int32;
        this.view.setInt32(this.pos, int, true);
        this.pos += 4;
      }
    } else {
      this.buf[this.pos++] = Tag.Float64;
      this.view.setFloat64(this.pos, n, true);
      this.pos += 8;
    }
  }

  protected bigint(n: bigint): void {
    if (BigInt.asIntN(64, n) === n) {
      this.ensure(9);
      this.buf[this.pos++] = Tag.BigInt64;
      this.view.setBigInt64(this.pos, n, true);
      this.pos += 8;
      return;
    }
    const negative = n < 0n;
    this.u8(Tag.BigIntHex);
    this.u8(negative ? 1 : 0);
    this.text((negative ? -n : n).toString(16));
  }

  protected text(text: string): void {
    const length = text.length;
    if (length <= SHORT_TEXT) {
      this.ensure(1 + length);
      const buf = this.buf;
      const at = this.pos + 1;
      let i = 0;
      for (; i < length; i++) {
        const code = text.charCodeAt(i);
        if (code > 0x7f) break;
        buf[at + i] = code;
      }
      if (i === length) {
        buf[this.pos] = Tag.ShortAscii | length;
        this.pos = at + length;
        return;
      }
    }
    this.longText(text);
  }

  private longText(text: string): void {
    const short = text.length <= TEXT_FITS_U8;
    // three bytes per unit are the worst case; for long text, counting costs less than the memory
    const most = text.length < LONG_TEXT ? text.length * 3 : Buffer.byteLength(text, "utf8");
    this.ensure(most + 5);
    const at = this.pos + (short ? 2 : 5);
    const size = this.buf.write(text, at, most, "utf8");
    if (size === text.length) this.buf[this.pos] = short ? Tag.Ascii8 : Tag.Ascii32;
    else if ((text as unknown as WithWellFormed).isWellFormed()) {
      this.buf[this.pos] = short ? Tag.Utf8 : Tag.Utf8_32;
    } else {
      this.utf16(text);
      return;
    }
    if (short) this.buf[this.pos + 1] = size;
    else this.view.setUint32(this.pos + 1, size, true);
    this.pos = at + size;
  }

  private utf16(text: string): void {
    this.ensure(5 + text.length * 2);
    this.buf[this.pos] = Tag.Utf16;
    this.view.setUint32(this.pos + 1, text.length * 2, true);
    this.buf.write(text, this.pos + 5, text.length * 2, "utf16le");
    this.pos += 5 + text.length * 2;
  }

  protected raw(bytes: Uint8Array): void {
    this.ensure(bytes.length);
    this.buf.set(bytes, this.pos);
    this.pos += bytes.length;
  }

  /** Zero bytes up to a multiple of `unit` from the start. */
  protected pad(unit: number): void {
    const bytes = alignUp(this.pos - this.start, unit) - (this.pos - this.start);
    this.ensure(bytes);
    this.buf.fill(0, this.pos, this.pos + bytes);
    this.pos += bytes;
  }
}
