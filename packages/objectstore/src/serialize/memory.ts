/** The regions of an encoded value, at the reader's side. */
import { REGION_IS_BUFFER, VIEW_THRESHOLD } from "./format.js";

export interface RegionEntry {
  readonly offset: number;
  readonly length: number;
  readonly flags: number;
}

/** Memory that can be shown piece by piece, as mapped files can. */
export interface Views {
  /** An ArrayBuffer that is exactly this part of the encoded bytes. Absent: there is none without copying. */
  readonly sub?: ((offset: number, length: number) => ArrayBuffer) | undefined;
}

/** Where the bytes of a region are: `buffer` from `base` on. */
interface Placed {
  readonly buffer: ArrayBuffer;
  readonly base: number;
}

/** What any element type may be read at. Bytes. */
const ALIGN = 8;

export class Memory {
  private readonly placed: (Placed | undefined)[] = [];

  constructor(
    private readonly bytes: Uint8Array,
    private readonly entries: readonly RegionEntry[],
    private readonly views: boolean | Views,
  ) {}

  entry(index: number): RegionEntry | undefined {
    return this.entries[index];
  }

  /** The region as part of some ArrayBuffer: a copy of its own, or if allowed and large enough, the encoded bytes. */
  place(index: number): Placed {
    return (this.placed[index] ??= this.inPlace(this.entries[index] as RegionEntry) ?? this.copy(index));
  }

  private inPlace({ offset, length, flags }: RegionEntry): Placed | undefined {
    const { bytes, views } = this;
    if (views === false || length < VIEW_THRESHOLD) return undefined;
    if ((bytes.byteOffset + offset) % ALIGN !== 0) return undefined;
    if ((flags & REGION_IS_BUFFER) !== 0) {
      const sub = views === true ? undefined : views.sub;
      return sub && { buffer: sub(offset, length), base: 0 };
    }
    if (!(bytes.buffer instanceof ArrayBuffer)) return undefined;
    return { buffer: bytes.buffer, base: bytes.byteOffset + offset };
  }

  private copy(index: number): Placed {
    const { offset, length } = this.entries[index] as RegionEntry;
    const copy = new Uint8Array(length);
    copy.set(this.bytes.subarray(offset, offset + length));
    return { buffer: copy.buffer, base: 0 };
  }
}
