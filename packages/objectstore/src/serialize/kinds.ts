/** Writers of the objects that are neither plain nor arrays, by prototype. */
import { types } from "node:util";
import { StingrayError } from "@stingray/protocol";
import { arrowKindOf, arrowPieces } from "./arrow.js";
import type { Encoder } from "./encoder.js";
import { writeError } from "./errors.js";
import { Tag, VIEW_KINDS, type ViewKind } from "./format.js";
import { Step } from "./path.js";
import { refusal } from "./refuse.js";
import { WIRE, registeredByPrototype, type Registration, type WireForm } from "./registry.js";

type Write = (encoder: Encoder, object: never) => void;

function writeView(kind: number): (encoder: Encoder, view: ArrayBufferView) => void {
  return (encoder, view) => {
    if (!(view.buffer instanceof ArrayBuffer)) throw encoder.failure(SHARED);
    if (view.byteLength === 0) checkAttached(encoder, view.buffer);
    encoder.tag(Tag.View);
    encoder.byte(kind);
    encoder.viewOf(view.buffer, view.byteOffset, view.byteLength);
  };
}

const SHARED =
  "shared memory of this process's threads can't be sent to another process: send a copy, such as typedArray.slice()";

function checkAttached(encoder: Encoder, buffer: ArrayBuffer): void {
  try {
    // oxlint-disable-next-line no-new -- the way to tell on every supported Node version
    new Uint8Array(buffer);
  } catch (cause) {
    throw encoder.failure(
      "a detached ArrayBuffer can't be sent: its memory was transferred elsewhere",
      cause,
    );
  }
}

function boxed(read: (object: never) => unknown): Write {
  return (encoder, object) => {
    encoder.tag(Tag.Boxed);
    encoder.value(read(object));
  };
}

function builtIns(): Map<object, Write> {
  const writers = new Map<object, Write>();
  writers.set(Map.prototype, (encoder, map: Map<unknown, unknown>) => {
    const entries = Map.prototype.entries.call(map) as IterableIterator<[unknown, unknown]>;
    encoder.tag(Tag.Map);
    let i = 0;
    for (const [key, value] of entries) {
      encoder.child(new Step("mapKey", i++), key);
      encoder.child(new Step("mapValue", key), value);
    }
    encoder.tag(Tag.End);
  });
  writers.set(Set.prototype, (encoder, set: Set<unknown>) => {
    const items = Set.prototype.values.call(set) as IterableIterator<unknown>;
    encoder.tag(Tag.Set);
    let i = 0;
    for (const item of items) encoder.child(new Step("setItem", i++), item);
    encoder.tag(Tag.End);
  });
  writers.set(Date.prototype, (encoder, date: Date) => {
    encoder.tag(Tag.Date);
    encoder.float(Date.prototype.getTime.call(date));
  });
  writers.set(RegExp.prototype, (encoder, regexp: RegExp) => {
    encoder.tag(Tag.RegExp);
    encoder.string(regexp.source);
    encoder.string(regexp.flags);
  });
  writers.set(
    Number.prototype,
    boxed((object) => Number.prototype.valueOf.call(object)),
  );
  writers.set(
    String.prototype,
    boxed((object) => String.prototype.valueOf.call(object)),
  );
  writers.set(
    Boolean.prototype,
    boxed((object) => Boolean.prototype.valueOf.call(object)),
  );
  writers.set(
    BigInt.prototype,
    boxed((object) => BigInt.prototype.valueOf.call(object)),
  );
  writers.set(ArrayBuffer.prototype, (encoder, buffer: ArrayBuffer) => {
    if (buffer.byteLength === 0) checkAttached(encoder, buffer);
    encoder.tag(Tag.ArrayBuffer);
    encoder.bufferOf(buffer);
  });
  VIEW_KINDS.forEach((name: ViewKind, kind) => {
    const cls = (globalThis as unknown as Record<ViewKind, { prototype: object } | undefined>)[name];
    if (cls !== undefined) writers.set(cls.prototype, writeView(kind));
  });
  return writers;
}
const BUILT_INS = builtIns();

/** @throws SerializationError for what can't be sent */
export function writeSpecial(encoder: Encoder, object: object, prototype: object | null): void {
  if (prototype !== null) {
    const write = BUILT_INS.get(prototype);
    if (write !== undefined) return write(encoder, object as never);
  }
  if (WIRE in object) return writeWire(encoder, object as { [WIRE](): WireForm });
  if (prototype === null) {
    encoder.tag(Tag.NullObject);
    return encoder.fields(object, Object.keys(object));
  }
  const registration = registeredByPrototype(prototype);
  if (registration !== undefined) return writeRegistered(encoder, object, registration);
  if (object instanceof Error) return writeError(encoder, object, undefined);
  const arrow = arrowKindOf(object);
  if (arrow >= 0) {
    encoder.tag(Tag.Arrow);
    encoder.byte(arrow);
    return encoder.piecesOf(arrowPieces(object, arrow));
  }
  if (isPlainOfOtherRealm(prototype)) {
    return Array.isArray(object) ? encoder.array(object) : encoder.plain(object);
  }
  const local = types.isMap(object) || types.isSet(object) || types.isDate(object);
  throw encoder.failure(refusal(object, local));
}

function writeWire(encoder: Encoder, object: { [WIRE](): WireForm }): void {
  let form: WireForm;
  try {
    form = object[WIRE]();
  } catch (thrown) {
    // It says itself why it can't be sent now; only its place is missing.
    throw thrown instanceof StingrayError ? encoder.failure(thrown.message, thrown) : thrown;
  }
  encoder.tag(Tag.Wire);
  encoder.string(form.tag);
  if (form.refs !== undefined) encoder.addRefs(form.refs);
  encoder.whileOpen(object, () => encoder.child(new Step("wire", form.tag), form.data));
}

function writeRegistered(encoder: Encoder, object: object, registration: Registration): void {
  const { name, encode, decode } = registration;
  if (encode === undefined && decode === undefined) {
    if (object instanceof Error) return writeError(encoder, object, name);
    encoder.tag(Tag.Instance);
    encoder.string(name);
    return encoder.fields(object, Object.keys(object));
  }
  const data = encode === undefined ? { ...object } : encode(object);
  encoder.tag(Tag.Coded);
  encoder.string(name);
  encoder.whileOpen(object, () => encoder.child(new Step("coded", name), data));
}

/** `{}` and `[]` made in another vm context (test runners do that) have prototypes of their own. */
function isPlainOfOtherRealm(prototype: object): boolean {
  if (Array.isArray(prototype)) {
    const above = Object.getPrototypeOf(prototype) as object | null;
    return above !== null && Object.getPrototypeOf(above) === null;
  }
  return Object.getPrototypeOf(prototype) === null && Object.hasOwn(prototype, "isPrototypeOf");
}
