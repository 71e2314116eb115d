/**
 * What every file of the store, and every object in a spill file, begins with: which object it is, how long, and
 * whether it is complete. Readers believe nothing else: a file that was used again, cut off or damaged is refused.
 *
 * ```
 * 0    u32  0x314f5453 ("STO1")
 * 4    u8   state: 1 writing, 2 complete
 * 5    u8   1: the checksum at 16 holds
 * 6    u16  length of the id in bytes
 * 8    f64  size of the value in bytes
 * 16   u32  CRC-32 of the value
 * 20   u32  CRC-32 of bytes 6 … 16, of the id and of the tag
 * 24   the id in ASCII, up to 96 bytes
 * 120  the tag: 8 random bytes of whoever made the value; zeros: not known
 * 128  the value
 * ```
 * All little-endian. The value begins at a multiple of 64, so that what is aligned in it is aligned in memory.
 */
import { randomBytes } from "node:crypto";
import { crc32 } from "node:zlib";
import { InvalidArgumentError, ObjectLostError } from "@stingray/protocol";

export const HEADER_BYTES = 128;
const MAGIC = 0x314f5453;
const WRITING = 1;
const COMPLETE = 2;
const ID_AT = 24;
const TAG_AT = 120;
const MAX_ID = TAG_AT - ID_AT;
/** Bytes of a tag. */
export const TAG_BYTES = HEADER_BYTES - TAG_AT;

export interface Header {
  readonly object: string;
  /** Of the value, in bytes. */
  readonly size: number;
  readonly complete: boolean;
  /** CRC-32 of the value, where it is known. */
  readonly crc: number | undefined;
  /**
   * In hexadecimal. All copies of an object have the same one; an object that was made again under the same id, perhaps
   * with other bytes, has another.
   */
  readonly tag: string | undefined;
}

/** The tag of a value that is made now. */
export const newTag = (): string => randomBytes(TAG_BYTES).toString("hex");

/** Writes the header into the first {@link HEADER_BYTES} of `target`. @throws InvalidArgumentError for an id that is too long */
export function writeHeader(target: Uint8Array, header: Header): void {
  const id = Buffer.from(header.object, "latin1");
  if (id.length > MAX_ID)
    throw new InvalidArgumentError(`object id ${header.object} is longer than ${MAX_ID}`);
  const view = new DataView(target.buffer, target.byteOffset, HEADER_BYTES);
  view.setUint32(0, MAGIC, true);
  view.setUint8(4, header.complete ? COMPLETE : WRITING);
  view.setUint8(5, header.crc === undefined ? 0 : 1);
  view.setUint16(6, id.length, true);
  view.setFloat64(8, header.size, true);
  view.setUint32(16, header.crc ?? 0, true);
  target.fill(0, ID_AT, HEADER_BYTES);
  target.set(id, ID_AT);
  if (header.tag !== undefined) target.set(Buffer.from(header.tag, "hex").subarray(0, TAG_BYTES), TAG_AT);
  view.setUint32(20, ownSum(target, id.length), true);
}

/** The tag in a header, or in other {@link TAG_BYTES} bytes from `at` on. undefined: it is not known. */
export function readTag(source: Uint8Array, at = TAG_AT): string | undefined {
  const tag = Buffer.from(source.buffer, source.byteOffset + at, TAG_BYTES).toString("hex");
  return NO_TAG.test(tag) ? undefined : tag;
}
const NO_TAG = /^0*$/;

/**
 * Reads a header. `where` is named in errors.
 * @throws ObjectLostError, with `detail.reason` "damaged", where it is no header, or was changed
 */
export function readHeader(source: Uint8Array, where: string): Header {
  const damaged = (what: string): ObjectLostError =>
    new ObjectLostError(`${where} is no object of this store: ${what}; another copy is needed`, {
      detail: { reason: "damaged", where },
    });
  if (source.length < HEADER_BYTES) throw damaged(`it has only ${source.length} bytes`);
  const view = new DataView(source.buffer, source.byteOffset, HEADER_BYTES);
  if (view.getUint32(0, true) !== MAGIC) throw damaged("it does not begin with a header");
  const idLength = view.getUint16(6, true);
  const size = view.getFloat64(8, true);
  if (idLength > MAX_ID || !Number.isSafeInteger(size) || size < 0)
    throw damaged("its header makes no sense");
  if (view.getUint32(20, true) !== ownSum(source, idLength)) throw damaged("its header was changed");
  const object = Buffer.from(source.buffer, source.byteOffset + ID_AT, idLength).toString("latin1");
  const crc = view.getUint8(5) === 1 ? view.getUint32(16, true) : undefined;
  return { object, size, complete: view.getUint8(4) === COMPLETE, crc, tag: readTag(source) };
}

function ownSum(bytes: Uint8Array, idLength: number): number {
  const sum = crc32(bytes.subarray(ID_AT, ID_AT + idLength), crc32(bytes.subarray(6, 16)));
  return crc32(bytes.subarray(TAG_AT, HEADER_BYTES), sum);
}
