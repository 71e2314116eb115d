/** Checks of the references that users pass. */
import { types } from "node:util";
import { InvalidArgumentError, describe } from "@stingray/protocol";
import type { ObjectEntry } from "./objects/entry.js";
import { isObjectRef } from "./objects/object-ref.js";
import { isObjectRefStream } from "./stream.js";

/** The entry of a reference. @throws InvalidArgumentError for anything else, and for one that was released */
export function usable(ref: unknown, where: string): ObjectEntry {
  if (!isObjectRef(ref))
    throw new InvalidArgumentError(`${where}: expected an ObjectRef, got ${whatInstead(ref)}`);
  const { unusable } = ref;
  if (unusable !== undefined) throw new InvalidArgumentError(`${where}: ${unusable}`);
  return ref.entry;
}

/** What was given in place of a reference, and how one is got from it. */
export function whatInstead(value: unknown): string {
  if (isObjectRefStream(value))
    return "an ObjectRefStream; iterate it with `for await`, and get each reference";
  if (types.isPromise(value)) return "a Promise; await it first, it may be one of a reference";
  return describe(value);
}
