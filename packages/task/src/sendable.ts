/**
 * Which arguments can be sent, as far as their declared types tell. Functions, symbols, promises and the like are refused,
 * also inside of arrays, maps, sets and object types; instances of classes and values of interfaces are not looked into,
 * since a serializer may be registered for them. A union is refused where none of its members can be sent.
 *
 * Pairs such as `[T, 0] extends [never, 0]` keep generic code compiling: for a type parameter nothing is known, and the
 * compiler then takes the branch that its wildcard is decided for, which is "can be sent".
 */
import type { ObjectRefStream } from "./stream.js";

/** Stands where an argument was declared that can't be sent. Nothing is assignable to it. */
export interface CannotBeSent {
  readonly __cannotBeSent: "functions, symbols, promises, signals, streams and weak collections can't be sent";
}

type Nullish = null | undefined;
type Plain = string | number | boolean | bigint | Nullish;
type Refused =
  | ((...args: never[]) => unknown)
  | (abstract new (...args: never[]) => unknown)
  | symbol
  | Promise<unknown>
  | WeakMap<WeakKey, unknown>
  | WeakSet<WeakKey>
  | WeakRef<WeakKey>
  | AbortSignal
  | AbortController
  | ObjectRefStream;

/** Deeper inside a type than this nothing is looked at. */
type Deepest = 5;
type Depth = readonly unknown[];

/** `never` where a value of the type can't be sent, else true. */
export type Sendable<T, D extends Depth = []> = [T, 0] extends [never, 0]
  ? true
  : 0 extends 1 & T
    ? true
    : unknown extends T
      ? true
      : [T] extends [Plain]
        ? true
        : D["length"] extends Deepest
          ? true
          : NonNullable<T> extends infer V
            ? OfObject<V, [...D, 0]>
            : never;

/** Sets have all that weak sets have, and maps likewise: they come first. */
type OfObject<V, D extends Depth> =
  V extends ReadonlyMap<unknown, infer Item>
    ? Sendable<Item, D>
    : V extends ReadonlySet<infer Item>
      ? Sendable<Item, D>
      : V extends Refused
        ? never
        : V extends readonly unknown[]
          ? NoneOf<{ [K in keyof V]-?: Mark<V[K], D> }[number]>
          : // Object types of their own, unlike classes and interfaces, are records.
            V extends Readonly<Record<string, unknown>>
            ? NoneOf<{ [K in keyof V & string]-?: Mark<V[K], D> }[keyof V & string]>
            : true;

/** 1 for what can't be sent and must be there. */
type Mark<T, D extends Depth> = [Sendable<T, D>, Extract<T, Nullish>] extends [never, never] ? 1 : never;
type NoneOf<Marks> = [Marks, 0] extends [never, 0] ? true : never;
