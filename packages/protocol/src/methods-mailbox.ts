/** Request methods of durable mailboxes. */
import { bool, list, optional, oneOf, record, text, tuple, uint } from "./check.js";
import { empty, method } from "./method.js";
import { actorId } from "./messages/id-checks.js";
import {
  MAX_KEPT_CALLS,
  keptAnswer,
  keptAside,
  keptCall,
  setAsideCall,
  type KeptAnswer,
  type KeptAside,
  type KeptCall,
  type SetAsideCall,
} from "./messages/mailbox.js";
import { wireErrorCheck, type WireError } from "./messages/wire-error.js";

export const Mailbox = {
  /**
   * Any process to its agent: keep these calls of mine, behind all that I have sent before. Answered once they are stored.
   * Asking again is no harm: who has run a number does not run it again. `refused`: those that can't be kept, and why.
   */
  append: method<
    { actor: string; calls: KeptCall[] },
    { refused?: [number: number, error: WireError][] | undefined }
  >(
    "mailbox.append",
    record({ actor: actorId, calls: list(keptCall, MAX_KEPT_CALLS) }),
    record({
      refused: optional(
        list(tuple<[number: number, error: WireError]>(uint, wireErrorCheck()), MAX_KEPT_CALLS),
      ),
    }),
  ),
  /** Worker to caller: how these calls of yours ended. Given again until it is answered. */
  answers: method<{ actor: string; answers: KeptAnswer[] }, object>(
    "mailbox.answers",
    record({ actor: actorId, answers: list(keptAnswer, MAX_KEPT_CALLS) }),
    empty,
  ),
  /** Worker to its agent: keep this call among those that were set aside. Answered once it is stored. */
  setAside: method<{ actor: string; epoch: number; call: KeptAside }, object>(
    "mailbox.setAside",
    record({ actor: actorId, epoch: uint, call: keptAside }),
    empty,
  ),
  /** Any process to its agent: the calls of the actor that were set aside, oldest first. */
  listSetAside: method<{ actor: string }, { calls: SetAsideCall[] }>(
    "mailbox.listSetAside",
    record({ actor: actorId }),
    record({ calls: list(setAsideCall) }),
  ),
  /** Any process to its agent: have one of them run again, behind what waits, or forget it. False: there is none of that id. */
  resolveSetAside: method<{ actor: string; id: string; how: "retry" | "drop" }, { found: boolean }>(
    "mailbox.resolveSetAside",
    record({ actor: actorId, id: text, how: oneOf("retry", "drop") }),
    record({ found: bool }),
  ),
} as const;
