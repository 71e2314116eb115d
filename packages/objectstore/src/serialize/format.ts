/**
 * The encoded form of a value, version 1. All numbers are little-endian.
 *
 * ```
 * header   8 bytes: 0x53 | version 0x01 | flags | 0 | u32 end of the tree (from the start)
 * tree     one item, see the tags below
 * table    only with FLAG_REGIONS: u32 count, then per region { f64 offset, f64 length, u32 flags }
 * small    regions below 1 KiB, each aligned to 8
 * large    regions of 1 KiB and more, each aligned to 64 (from the start), gaps are zero
 * ```
 *
 * A region holds the bytes of one `ArrayBuffer`, or of those parts of it that the value refers to; views that
 * overlap in memory share a region, so they still share memory when they come back. Regions lie in ascending order
 * and do not overlap. Nothing follows the last one.
 *
 * Tree items begin with a tag byte. Tags below 0x80 carry their operand. `varint` is LEB128 of at most 53 bits;
 * `string` is an item with one of the string tags. Objects are numbered in the order in which their tags appear;
 * BACKREF names an earlier one, so shared identity and cycles survive. Property names travel once per shape.
 */

export const MAGIC = 0x53;
export const VERSION = 1;
export const HEADER_SIZE = 8;

/** The value has regions. */
export const FLAG_REGIONS = 1;
/** The tree has back references, so a reader must remember its objects. */
export const FLAG_BACKREFS = 2;

/** Region flag: its ArrayBuffer is itself part of the value, so it can't be a view on a larger one. */
export const REGION_IS_BUFFER = 1;
export const REGION_ENTRY_SIZE = 20;

/** Regions of this size and more are written out of band, straight from their source. Bytes. */
export const LARGE_REGION = 1024;
export const LARGE_ALIGN = 64;
export const SMALL_ALIGN = 8;
/** Regions of this size and more come back as views if the reader asks for views. Bytes. */
export const VIEW_THRESHOLD = 64 * 1024;

/**
 * Containers inside containers, at most. What recursion needs must fit into what is left of the stack, also in a
 * receiver that decodes deep inside its own calls.
 */
export const MAX_DEPTH = 2000;

export const Tag = {
  /** 0x00 … 0x3f: the integers 0 … 63. */
  SmallInt: 0x00,
  /** 0x40 … 0x5f: ASCII of 0 … 31 characters follows. */
  ShortAscii: 0x40,
  /** 0x60 … 0x6f: an array of 0 … 15 items follows. */
  ShortArray: 0x60,
  /** 0x70 … 0x7e: a plain object of 0 … 14 properties: their names (strings), then their values. A new shape. */
  ShortObject: 0x70,

  Undefined: 0x80,
  Null: 0x81,
  True: 0x82,
  False: 0x83,
  /** u8 */
  Uint8: 0x84,
  /** u16 */
  Uint16: 0x85,
  /** i32 */
  Int32: 0x86,
  /** f64; also -0, NaN, integers beyond 32 bits. */
  Float64: 0x87,
  /** i64 */
  BigInt64: 0x88,
  /** u8 sign (1: negative), string of hexadecimal digits. */
  BigIntHex: 0x89,
  /** u8 length, ASCII. */
  Ascii8: 0x8a,
  /** u32 length, ASCII. */
  Ascii32: 0x8b,
  /** u8 length in bytes, UTF-8. */
  Utf8: 0x8c,
  /** u32 length in bytes, UTF-8. */
  Utf8_32: 0x8d,
  /** u32 length in bytes, UTF-16: text with lone surrogates, which UTF-8 can't hold. */
  Utf16: 0x8e,
  /** varint number of an earlier object. */
  Backref: 0x8f,

  /** varint length, then items; see Holes. */
  Array: 0x90,
  /** varint: so many absent items; only inside arrays. */
  Holes: 0x91,
  /** as Array, then varint count of { string name, value }: named properties. */
  ArrayWithProps: 0x92,
  /** varint count, names, values: a new shape. */
  Object: 0x93,
  /** varint number of an earlier shape, then the values. */
  ShapedObject: 0x94,
  /** varint count of { string name, value }: many properties; no shape. */
  WideObject: 0x95,
  /** as WideObject, without a prototype. */
  NullObject: 0x96,
  /** pairs of items up to End. */
  Map: 0x97,
  /** items up to End. */
  Set: 0x98,
  End: 0x99,

  /** f64 milliseconds. */
  Date: 0x9a,
  /** string source, string flags. */
  RegExp: 0x9b,
  /** the primitive: Number, String, Boolean or BigInt object. */
  Boxed: 0x9c,
  /** u32 region. */
  ArrayBuffer: 0x9d,
  /** u8 kind (index in VIEW_KINDS), u32 region, f64 offset in it, f64 length in bytes. */
  View: 0x9e,
  /** see errors.ts */
  Error: 0x9f,
  /** string name, varint count of { string name, value }: own fields of an instance of a registered class. */
  Instance: 0xa0,
  /** string name, value: what the codec of a registered class made of it. */
  Coded: 0xa1,
  /** string tag, value: see registerWireType. */
  Wire: 0xa2,
  /** u8 kind (0 table, 1 record batch, 2 vector), u32 region with an IPC stream. */
  Arrow: 0xa3,
} as const;

/** Kinds of views on binary data, by their number on the wire. Append only. */
export const VIEW_KINDS = [
  "Int8Array",
  "Uint8Array",
  "Uint8ClampedArray",
  "Int16Array",
  "Uint16Array",
  "Int32Array",
  "Uint32Array",
  "Float32Array",
  "Float64Array",
  "BigInt64Array",
  "BigUint64Array",
  "DataView",
  "Buffer",
  "Float16Array",
] as const;
export type ViewKind = (typeof VIEW_KINDS)[number];

/** Rounds up to a multiple of `unit`, a power of two; exact above 2^31 too. */
export function alignUp(n: number, unit: number): number {
  const over = n % unit;
  return over === 0 ? n : n + unit - over;
}
