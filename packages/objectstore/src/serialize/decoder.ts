/** Rebuilds a value. Nothing in the bytes is trusted: what is malformed ends in a SerializationError. */
import { SerializationError } from "@stingray/protocol";
import {
  FLAG_BACKREFS,
  FLAG_REGIONS,
  HEADER_SIZE,
  MAGIC,
  MAX_DEPTH,
  REGION_ENTRY_SIZE,
  Tag,
  VERSION,
} from "./format.js";
import { Memory, type RegionEntry, type Views } from "./memory.js";
import { Reader } from "./reader.js";

/** Reads the objects that are neither plain nor arrays. */
export type ReadSpecial = (decoder: Decoder, tag: number) => unknown;

/** Absent items for which slots are made, in a whole value, beside one for each of its bytes. */
const SLOTS = 1 << 20;
/** No array of this length has a slot for each item. */
const LONGEST = 2 ** 32 - 1;

/** Stands for an object that is being made by a codec. */
const PENDING = Object.freeze({});

export interface DecodeOptions {
  /**
   * Buffers of 64 KiB and more come back as views on the encoded bytes instead of copies. Then those bytes must not
   * change or go away as long as the value is used. With `sub`, as what a `StoreClient` reads has it, that holds for
   * whole ArrayBuffers too; without, those are copied. Default false.
   */
  views?: boolean | Views;
  /** Handed to the functions of `registerWireType`. */
  context?: unknown;
}

export class Decoder extends Reader {
  private readonly shapes: (readonly string[])[] = [];
  private objects: unknown[] | undefined;
  private depth = 0;
  /** Absent items that may still have slots. */
  private slots: number;
  memory: Memory | undefined;
  readonly context: unknown;

  constructor(
    bytes: Uint8Array,
    private readonly options: DecodeOptions,
    private readonly readSpecial: ReadSpecial,
  ) {
    super(bytes, bytes.length);
    this.context = options.context;
    this.slots = SLOTS + bytes.length;
  }

  decode(): unknown {
    try {
      this.header();
      const value = this.value();
      if (this.pos !== this.end) throw this.malformed("something follows the value");
      return value;
    } catch (thrown) {
      if (thrown instanceof SerializationError) throw thrown;
      const text = thrown instanceof Error ? `${thrown.name}: ${thrown.message}` : String(thrown);
      throw new SerializationError(`malformed value: rebuilding it threw ${text}`, { cause: thrown });
    }
  }

  private header(): void {
    this.need(HEADER_SIZE);
    const magic = this.u8();
    const version = this.u8();
    const flags = this.u8();
    this.u8();
    const treeEnd = this.u32();
    if (magic !== MAGIC) throw this.malformed("no encoded value begins like this");
    if (version !== VERSION) {
      throw new SerializationError(
        `the value was encoded with format version ${version}, this process knows ${VERSION}: run the same version of stingray everywhere`,
      );
    }
    if (treeEnd < HEADER_SIZE || treeEnd > this.end) throw this.malformed("a tree that ends elsewhere");
    if ((flags & FLAG_BACKREFS) !== 0) this.objects = [];
    if ((flags & FLAG_REGIONS) !== 0) this.regions(treeEnd);
    else if (treeEnd !== this.end) throw this.malformed("bytes behind the tree");
    this.end = treeEnd;
    this.pos = HEADER_SIZE;
  }

  private regions(at: number): void {
    this.pos = at;
    const count = this.checkCount(this.u32(), REGION_ENTRY_SIZE);
    const entries: RegionEntry[] = [];
    let from = this.pos + count * REGION_ENTRY_SIZE;
    for (let i = 0; i < count; i++) {
      const entry = { offset: this.size(), length: this.size(), flags: this.u32() };
      // Regions that overlap could make a small message take any amount of memory.
      if (entry.offset < from || entry.length > this.end - entry.offset) throw this.malformed("a bad region");
      from = entry.offset + entry.length;
      entries.push(entry);
    }
    if (from !== this.end) throw this.malformed("bytes behind the last region");
    this.memory = new Memory(this.bytes, entries, this.options.views ?? false);
  }

  // -------------------------------------------------------------------------------------------------------------

  value(): unknown {
    const tag = this.u8();
    if (tag < Tag.ShortAscii) return tag;
    if (tag < Tag.ShortArray) return this.shortAscii(tag & 0x1f);
    if (tag < Tag.ShortObject) return this.array(tag & 0x0f);
    if (tag < Tag.Undefined) return this.newShape(tag & 0x0f);
    switch (tag) {
      case Tag.Undefined:
        return undefined;
      case Tag.Null:
        return null;
      case Tag.True:
        return true;
      case Tag.False:
        return false;
      case Tag.Uint8:
        return this.u8();
      case Tag.Uint16:
        return this.u16();
      case Tag.Int32:
        return this.i32();
      case Tag.Float64:
        return this.f64();
      case Tag.BigInt64:
        return this.bigint64();
      case Tag.BigIntHex:
        return this.bigintHex();
      case Tag.Backref:
        return this.backref();
      case Tag.Array:
        return this.array(this.varint());
      case Tag.ArrayWithProps:
        return this.fieldsInto(this.array(this.varint()));
      case Tag.Object:
        return this.newShape(this.checkCount(this.varint(), 2));
      case Tag.ShapedObject: {
        const shape = this.shapes[this.varint()];
        if (shape === undefined) throw this.malformed("an unknown shape");
        return this.shaped(shape);
      }
      case Tag.WideObject:
        return this.fieldsInto(this.made({}));
      case Tag.NullObject:
        return this.fieldsInto(this.made(Object.create(null) as object));
      default: {
        const text = this.textOf(tag);
        if (text !== undefined) return text;
        this.enter();
        const object = this.readSpecial(this, tag);
        this.depth--;
        return object;
      }
    }
  }

  private enter(): void {
    if (this.depth++ >= MAX_DEPTH) {
      throw new SerializationError(`malformed value: nested deeper than ${MAX_DEPTH} levels`);
    }
  }

  /** Numbers an object, as the encoder did. Call it when its tag was read, before anything inside it. */
  made<T extends object>(object: T): T {
    this.objects?.push(object);
    return object;
  }
  /** Keeps the number of an object that can only be made when its parts are there. */
  reserve(): number {
    if (this.objects === undefined) return -1;
    return this.objects.push(PENDING) - 1;
  }
  fulfil<T>(number: number, object: T): T {
    if (this.objects !== undefined) this.objects[number] = object;
    return object;
  }

  private backref(): unknown {
    const object = this.objects?.[this.varint()];
    if (object === undefined || object === PENDING) throw this.malformed("a reference to nothing");
    return object;
  }

  private array(length: number): unknown[] {
    const array: unknown[] = this.made([]);
    if (length === 0) return array;
    this.enter();
    let sparse = false;
    for (let i = 0; i < length; i++) {
      if (this.bytes[this.pos] === Tag.Holes) {
        this.pos++;
        const run = this.varint();
        if (run === 0 || run > length - i) throw this.malformed("a bad run of absent items");
        i += run - 1;
        if (sparse) continue;
        if (run <= this.slots) {
          this.slots -= run;
          array.length = i + 1;
        } else {
          sparse = true;
          lengthen(array, i + 1);
        }
      } else array[i] = this.value();
    }
    if (array.length < length) lengthen(array, length);
    this.depth--;
    return array;
  }

  private newShape(count: number): object {
    const names: string[] = [];
    for (let i = 0; i < count; i++) names.push(this.string());
    this.shapes.push(names);
    return this.shaped(names);
  }

  private shaped(names: readonly string[]): object {
    const object: Record<string, unknown> = this.made({});
    if (names.length === 0) return object;
    this.enter();
    for (let i = 0; i < names.length; i++) {
      const name = names[i] as string;
      if (name === "__proto__") setField(object, name, this.value());
      else object[name] = this.value();
    }
    this.depth--;
    return object;
  }

  /** varint count, then { name, value }. */
  fieldsInto<T extends object>(object: T): T {
    const count = this.checkCount(this.varint(), 2);
    this.enter();
    for (let i = 0; i < count; i++) {
      const name = this.string();
      setField(object, name, this.value());
    }
    this.depth--;
    return object;
  }

  // -------------------------------------------------------------------------------------------------------------
  // For revive.ts

  byte(): number {
    return this.u8();
  }
  name(): string {
    return this.string();
  }
  float(): number {
    return this.f64();
  }
  uint32(): number {
    return this.u32();
  }
  length(): number {
    return this.size();
  }
  /** Whether the next item is End, which is then consumed. */
  atEnd(): boolean {
    this.need(1);
    if (this.bytes[this.pos] !== Tag.End) return false;
    this.pos++;
    return true;
  }
  bad(what: string): SerializationError {
    return this.malformed(what);
  }
}

/**
 * Without slots for what is absent: a few bytes can say that billions of items are. The engine then keeps what is there
 * by its index. That takes a look at each item, so it is not done for every run.
 */
function lengthen(array: unknown[], length: number): void {
  array.length = LONGEST;
  array.length = length;
}

/** An own field whatever it is called: never a setter of a prototype, never the prototype itself. */
export function setField(object: object, name: string, value: unknown): void {
  Object.defineProperty(object, name, { value, writable: true, enumerable: true, configurable: true });
}
