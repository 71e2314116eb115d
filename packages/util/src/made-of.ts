/** What the utilities have in common: the actor behind each, and how they travel. */
import { isActorHandle, remoteClass, type ActorHandle, type RemoteClass } from "@stingray/actor";
import { WIRE, registerWireType, type WireForm } from "@stingray/objectstore";
import {
  InvalidOptionError,
  ProtocolError,
  checkOptions,
  nested,
  ACTOR_RULES,
  type ActorOptions,
  type OptionRules,
} from "@stingray/protocol";
import { UTIL_MODULE } from "@stingray/task/internal";

/** Calls wait inside these actors, so there is no sensible limit to their number. */
const MAX_CONCURRENCY = 1_000_000;

/** What would keep calls out for which others wait. */
const OF_THEIR_OWN = ["maxPendingCalls", "maxConcurrency", "concurrencyGroups"] as const;

/** Of every utility. */
export interface UtilityOptions {
  /**
   * Of the actor behind it: its name, lifetime, place. With `name` and `getIfExists` several programs share one.
   * @defaultValue no CPUs, placed anywhere, ends with its last handle
   */
  actor?: ActorOptions | undefined;
}

export const UTILITY_RULES: OptionRules = { actor: nested(ACTOR_RULES) };

export function utilityClass<A extends unknown[], T extends object>(
  cls: new (...args: A) => T,
): RemoteClass<A, T> {
  return remoteClass(UTIL_MODULE, { cpus: 0 }, cls);
}

/** @throws InvalidOptionError for options of the actor that it can't work with */
export function utilityOptions(what: string, { actor = {} }: UtilityOptions): ActorOptions {
  if (actor.mailbox === "durable") {
    throw new InvalidOptionError(
      `${what}: its calls wait for each other and end with their callers, which a durable mailbox does not go with; leave out actor.mailbox`,
    );
  }
  for (const option of OF_THEIR_OWN) {
    if (actor[option] === undefined) continue;
    throw new InvalidOptionError(
      `${what}: its calls wait inside its actor, as many as there are; leave out actor.${option}`,
      { detail: { option: `actor.${option}` } },
    );
  }
  return { ...actor, maxConcurrency: MAX_CONCURRENCY };
}

export function checkUtility(what: string, rules: OptionRules, options: UtilityOptions): void {
  checkOptions(what, { ...rules, ...UTILITY_RULES }, options);
}

/** Given to a constructor in place of options, it makes the object of an actor that exists. */
export class Existing<T> {
  constructor(readonly handle: ActorHandle<T>) {}
}

export function wireForm(tag: string, handle: unknown): WireForm {
  return { tag, data: handle };
}

/** How they come back inside values. */
export function registerUtility<T>(tag: string, make: (existing: Existing<T>) => unknown): void {
  registerWireType(tag, (data) => {
    if (!isActorHandle(data)) throw new ProtocolError(`malformed ${tag} inside a value`);
    return make(new Existing(data as ActorHandle<T>));
  });
}

export { WIRE };
