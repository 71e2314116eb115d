/** Why an object can't be sent, and what to do instead. */
import { types } from "node:util";

/** @param builtInSubclass it has the inner slots of a built-in collection, under a prototype of its own */
export function refusal(object: object, builtInSubclass: boolean): string {
  if (types.isPromise(object)) return "a Promise can't be sent: await it first";
  if (object instanceof WeakMap || object instanceof WeakSet) {
    return `a ${nameOf(object)} can't be sent: its entries can't be listed; use a ${nameOf(object).slice(4)}`;
  }
  if (object instanceof WeakRef) return "a WeakRef can't be sent: send what deref() gives";
  if (types.isSharedArrayBuffer(object)) {
    return "shared memory of this process's threads can't be sent to another process: send a copy, such as typedArray.slice()";
  }
  if (Object.prototype.toString.call(object) === "[object Symbol]" || types.isSymbolObject(object)) {
    return "symbols can't be sent";
  }
  if (object instanceof AbortSignal || object instanceof AbortController) {
    return `an ${nameOf(object)} can't be sent: give the signal to the call, .options({ signal }), which cancels it; inside, context().signal aborts`;
  }
  if (isStream(object)) return `a ${nameOf(object)} can't be sent: read it and send what it holds`;
  if (isIterator(object)) return `an iterator can't be sent: send an array, [...iterator]`;
  if (isThenable(object)) return `a thenable (${nameOf(object)}) can't be sent: await it first`;
  const name = nameOf(object);
  const codec = builtInSubclass ? `${name}, { name, encode, decode }` : name;
  return `an instance of class ${name} can't be sent: call registerSerializer(${codec}) in a module that the receiver imports too, or send a plain object`;
}

function nameOf(object: object): string {
  const constructor = (object as { constructor?: unknown }).constructor;
  if (typeof constructor === "function" && constructor.name !== "") return constructor.name;
  const tag: unknown = (object as { [Symbol.toStringTag]?: unknown })[Symbol.toStringTag];
  return typeof tag === "string" && tag !== "" ? tag : "(unnamed)";
}

function has(object: object, method: string): boolean {
  return typeof (object as Record<string, unknown>)[method] === "function";
}
const isStream = (object: object): boolean =>
  has(object, "getReader") || has(object, "getWriter") || (has(object, "pipe") && has(object, "on"));
const isIterator = (object: object): boolean =>
  has(object, "next") && (Symbol.iterator in object || Symbol.asyncIterator in object);
const isThenable = (object: object): boolean => has(object, "then");
