/**
 * What user classes and higher layers add to serialization. The tables hang on `globalThis` under registered
 * symbols, so that two copies of this package in one process share them.
 */
import { InvalidArgumentError } from "@stingray/protocol";

/** Objects with a method of this name encode as what it returns, see {@link WireForm}. */
export const WIRE: unique symbol = Symbol.for("stingray.wire") as never;

/** What `[WIRE]()` returns. */
export interface WireForm {
  /** As in {@link registerWireType}. */
  tag: string;
  data: unknown;
  /** Ids of the objects that this refers to; they show up in `Encoded.refs`. */
  refs?: readonly string[];
}

export type Revive = (data: unknown, context: unknown) => unknown;

/** How instances of a class travel. Both functions are optional: without them, own fields. */
export interface SerializerCodec<T> {
  /** Known to both sides. Default: the name of the class. */
  name?: string;
  /** Anything that can be sent. */
  encode?: (value: T) => unknown;
  decode?: (data: unknown) => T;
}

/** A class with its codec, as registered. */
export interface Registration {
  readonly name: string;
  readonly prototype: object;
  readonly encode?: ((value: unknown) => unknown) | undefined;
  readonly decode?: ((data: unknown) => unknown) | undefined;
}

interface Tables {
  readonly byName: Map<string, Registration>;
  readonly byPrototype: Map<object, Registration>;
  readonly wire: Map<string, Revive>;
}

const KEY = Symbol.for("stingray.serializers");
const holder = globalThis as { [KEY]?: Tables };
const tables: Tables = (holder[KEY] ??= { byName: new Map(), byPrototype: new Map(), wire: new Map() });

/** Built-in classes whose contents are not in own fields: a subclass of them needs a codec. */
const NEED_CODEC = [Map, Set, Array, Date, RegExp, ArrayBuffer, DataView, Promise, Uint8Array, Function].map(
  (cls) => (cls === Uint8Array ? (Object.getPrototypeOf(Uint8Array) as { prototype: object }) : cls),
);

/**
 * Lets instances of `cls` (exactly that class, not its subclasses) be sent. Without a codec their own enumerable
 * fields travel, the prototype is restored and the constructor is not run; private `#fields` are not seen then.
 * Registering the same class again replaces its codec.
 * @throws InvalidArgumentError for no class, a name that another class has, or a class that needs a codec
 */
export function registerSerializer<T>(
  cls: new (...args: never[]) => T,
  codec: SerializerCodec<T> = {},
): void {
  if (typeof cls !== "function" || typeof cls.prototype !== "object" || cls.prototype === null) {
    throw new InvalidArgumentError(`registerSerializer: pass a class, got ${typeof cls}`);
  }
  const name = codec.name ?? cls.name;
  if (typeof name !== "string" || name === "") {
    throw new InvalidArgumentError(
      "registerSerializer: the class has no name; give one, { name: … }, the same in every process",
    );
  }
  const prototype = cls.prototype as object;
  const other = tables.byName.get(name);
  if (other !== undefined && other.prototype !== prototype) {
    throw new InvalidArgumentError(
      `registerSerializer: the name "${name}" is taken by another class; give this one another, { name: … }`,
    );
  }
  const base = NEED_CODEC.find((builtIn) => prototype instanceof (builtIn as new () => object));
  if (base !== undefined && (codec.encode === undefined || codec.decode === undefined)) {
    throw new InvalidArgumentError(
      `registerSerializer: ${name} extends ${(base as { name?: string }).name ?? "a built-in class"}, whose contents are not in its fields; give encode and decode`,
    );
  }
  if (codec.encode !== undefined && codec.decode === undefined) {
    throw new InvalidArgumentError(
      `registerSerializer: ${name} has encode but no decode; give both, or neither`,
    );
  }
  if (codec.decode === undefined && hasHiddenState(cls)) {
    throw new InvalidArgumentError(
      `registerSerializer: ${name} keeps state that is not in its own fields (#private or built in); give encode and decode`,
    );
  }
  const before = tables.byPrototype.get(prototype);
  if (before !== undefined) tables.byName.delete(before.name);
  const registration: Registration = {
    name,
    prototype,
    encode: codec.encode as Registration["encode"],
    decode: codec.decode,
  };
  tables.byName.set(name, registration);
  tables.byPrototype.set(prototype, registration);
}

/** How a higher layer's objects come back: called with the data of their {@link WireForm} and `decode`'s context. */
export function registerWireType(tag: string, revive: Revive): void {
  tables.wire.set(tag, revive);
}

export const registeredByPrototype = (prototype: object): Registration | undefined =>
  tables.byPrototype.get(prototype);
export const registeredByName = (name: string): Registration | undefined => tables.byName.get(name);
export const wireType = (tag: string): Revive | undefined => tables.wire.get(tag);

/** As far as the source tells: native code, or `#private` members. */
function hasHiddenState(cls: object): boolean {
  const source = Function.prototype.toString.call(cls);
  return source.includes("[native code]") || /[\s;{(.!]#[A-Za-z_$][\w$]*/.test(source);
}
