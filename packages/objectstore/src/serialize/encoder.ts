/** The walk over a value: one pass, which writes as it goes. What is rare is in kinds.ts. */
import { types } from "node:util";
import { SerializationError } from "@stingray/protocol";
import { endOfHoles, namedProperties } from "./array-shape.js";
import type { Encoded } from "./encoded.js";
import { FLAG_BACKREFS, MAX_DEPTH, Tag } from "./format.js";
import { pathText, type PathSegment } from "./path.js";
import { RegionWriter } from "./region-writer.js";
import { WIRE } from "./registry.js";
import { SeenObjects } from "./seen.js";

/** Objects with more properties than this are tables rather than records: their names are written each time. */
const WIDEST_SHAPE = 64;
/** So many shapes are looked at before a new one is written. */
const RECENT_SHAPES = 8;
/** Deeper than this, a RangeError is the stack's end. */
const SUSPICIOUS_DEPTH = 200;

const NO_REFS: readonly string[] = Object.freeze([]);

/** Writes objects that are neither plain nor arrays. Given to the encoder so that the two files need not import each other. */
export type WriteSpecial = (encoder: Encoder, object: object, prototype: object | null) => void;

/** A place in the output to go back to. */
interface Mark {
  pos: number;
  objects: number;
  shapes: number;
  refs: number;
  depth: number;
  open: number;
}

export class Encoder extends RegionWriter {
  private readonly seen = new SeenObjects();
  private shapes: string[][] = [];
  private flags = 0;
  private depth = 0;
  private path: PathSegment[] = [];
  private root = "value";
  private refs: string[] | undefined;
  /** Objects whose encoded form is being asked for: they can't be referred to from inside it. */
  private readonly open: object[] = [];

  constructor(private readonly writeSpecial: WriteSpecial) {
    super();
  }

  encode(value: unknown, root: string): Encoded {
    this.root = root;
    this.begin();
    let done = false;
    try {
      this.value(value);
      const encoded = this.assemble(this.flags, this.refs ?? NO_REFS);
      done = true;
      return encoded;
    } catch (thrown) {
      throw this.translate(thrown);
    } finally {
      if (!done) this.abandon();
      this.reset();
    }
  }

  private reset(): void {
    this.seen.clear();
    if (this.shapes.length > 0) this.shapes = [];
    this.flags = 0;
    this.depth = 0;
    if (this.path.length > 0) this.path = [];
    this.refs = undefined;
    this.forgetRegions();
    this.open.length = 0;
  }

  /** The error to throw because of the part that is being written: `<path>: <reason>`. */
  failure(reason: string, cause?: unknown): SerializationError {
    const path = pathText(this.root, this.path, this.depth);
    return new SerializationError(`${path}: ${reason}`, { detail: { path }, cause });
  }

  private translate(thrown: unknown): unknown {
    if (thrown instanceof SerializationError) return thrown;
    if (thrown instanceof RangeError && this.depth > SUSPICIOUS_DEPTH) return this.tooDeep();
    const text = thrown instanceof Error ? `${thrown.name}: ${thrown.message}` : String(thrown);
    return this.failure(`reading this threw ${text}`, thrown);
  }

  private tooDeep(): SerializationError {
    return this.failure(
      `nested too deep (${MAX_DEPTH} levels at most): send a flat form, such as an array of nodes that name each other by index`,
    );
  }

  // -------------------------------------------------------------------------------------------------------------

  value(value: unknown): void {
    switch (typeof value) {
      case "number":
        return this.number(value);
      case "string":
        return this.text(value);
      case "boolean":
        return this.u8(value ? Tag.True : Tag.False);
      case "undefined":
        return this.u8(Tag.Undefined);
      case "object":
        return value === null ? this.u8(Tag.Null) : this.object(value);
      case "bigint":
        return this.bigint(value);
      case "function":
        throw this.failure("functions can't be sent");
      case "symbol":
        throw this.failure("symbols can't be sent");
    }
  }

  /** A value one step further in: `segment` is what its place is called in error texts. */
  child(segment: PathSegment, value: unknown): void {
    if (this.depth >= MAX_DEPTH) throw this.tooDeep();
    this.path[this.depth++] = segment;
    this.value(value);
    this.depth--;
  }

  /** As `child`, for what is read from the object by name. A getter that throws is reported with its path. */
  private property(object: object, name: string): void {
    if (this.depth >= MAX_DEPTH) throw this.tooDeep();
    this.path[this.depth++] = name;
    this.value((object as Record<string, unknown>)[name]);
    this.depth--;
  }

  private object(object: object): void {
    if (types.isProxy(object) && !sendsItself(object))
      throw this.failure("a Proxy can't be sent: send the object behind it");
    const earlier = this.seen.numberOf(object);
    if (earlier >= 0) {
      if (this.open.length > 0 && this.open.includes(object)) {
        throw this.failure(
          "refers back to an object whose encode() is still running; leave that reference out",
        );
      }
      this.flags |= FLAG_BACKREFS;
      this.u8(Tag.Backref);
      this.varint(earlier);
      return;
    }
    const prototype = Object.getPrototypeOf(object) as object | null;
    if (prototype === Object.prototype && !(WIRE in object)) this.plain(object);
    else if (prototype === Array.prototype && Array.isArray(object)) this.array(object);
    else this.writeSpecial(this, object, prototype);
  }

  plain(object: object): void {
    const names = Object.keys(object);
    const count = names.length;
    if (count > WIDEST_SHAPE) {
      this.u8(Tag.WideObject);
      this.fields(object, names);
      return;
    }
    const shape = this.findShape(names);
    if (shape >= 0) {
      this.u8(Tag.ShapedObject);
      this.varint(shape);
    } else {
      if (count < 15) this.u8(Tag.ShortObject | count);
      else {
        this.u8(Tag.Object);
        this.varint(count);
      }
      for (let i = 0; i < count; i++) this.text(names[i] as string);
      this.shapes.push(names);
    }
    if (this.depth >= MAX_DEPTH && count > 0) throw this.tooDeep();
    for (let i = 0; i < count; i++) this.property(object, names[i] as string);
  }

  private findShape(names: string[]): number {
    const shapes = this.shapes;
    const count = names.length;
    const last = Math.max(0, shapes.length - RECENT_SHAPES);
    for (let s = shapes.length - 1; s >= last; s--) {
      const shape = shapes[s] as string[];
      if (shape.length !== count) continue;
      let i = 0;
      while (i < count && shape[i] === names[i]) i++;
      if (i === count) return s;
    }
    return -1;
  }

  /** varint count, then { name, value }. */
  fields(object: object, names: readonly string[]): void {
    this.varint(names.length);
    for (const name of names) {
      this.text(name);
      this.property(object, name);
    }
  }

  array(array: readonly unknown[]): void {
    const length = array.length;
    const named = namedProperties(array);
    if (named.length > 0) {
      this.u8(Tag.ArrayWithProps);
      this.varint(length);
    } else if (length < 16) this.u8(Tag.ShortArray | length);
    else {
      this.u8(Tag.Array);
      this.varint(length);
    }
    if (this.depth >= MAX_DEPTH && length > 0) throw this.tooDeep();
    for (let i = 0; i < length; i++) {
      const item = array[i];
      if (item === undefined && !(i in array)) {
        i = this.holes(array, i);
        continue;
      }
      this.path[this.depth++] = i;
      this.value(item);
      this.depth--;
    }
    if (named.length > 0) this.fields(array, named);
  }

  /** Writes the run of absent items from `from` on, and returns the index of its last one. */
  private holes(array: readonly unknown[], from: number): number {
    const end = endOfHoles(array, from);
    this.u8(Tag.Holes);
    this.varint(end - from);
    return end - 1;
  }

  // -------------------------------------------------------------------------------------------------------------
  // For kinds.ts and errors.ts

  tag(tag: number): void {
    this.u8(tag);
  }
  byte(n: number): void {
    this.u8(n);
  }
  string(text: string): void {
    this.text(text);
  }
  float(n: number): void {
    this.f64(n);
  }
  count(n: number): void {
    this.varint(n);
  }

  addRefs(refs: readonly string[]): void {
    this.refs ??= [];
    for (const ref of refs) if (!this.refs.includes(ref)) this.refs.push(ref);
  }

  /** Runs `body` while `object` can't be referred to from inside. */
  whileOpen(object: object, body: () => void): void {
    this.open.push(object);
    body();
    this.open.pop();
  }

  mark(): Mark {
    return {
      pos: this.pos - this.start,
      objects: this.seen.count,
      shapes: this.shapes.length,
      refs: this.refs?.length ?? 0,
      depth: this.depth,
      open: this.open.length,
    };
  }

  /** Takes back what was written since `mark`. */
  rollback(mark: Mark): void {
    this.pos = this.start + mark.pos;
    this.seen.truncate(mark.objects);
    this.shapes.length = mark.shapes;
    if (this.refs !== undefined) this.refs.length = mark.refs;
    this.truncateRegions(mark.pos);
    this.depth = mark.depth;
    this.open.length = mark.open;
  }
}

/** Whether a Proxy knows its own form on the wire, as the handles of actors do. */
function sendsItself(proxy: object): boolean {
  try {
    return WIRE in proxy;
  } catch {
    return false; // its trap threw: it is refused like any other
  }
}
