/** Request methods that put actors with durable mailboxes to sleep, and wake them. Served by every agent. */
import { bool, record, uint } from "./check.js";
import { empty, method } from "./method.js";
import { actorId } from "./messages/id-checks.js";

export const Sleep = {
  /** An actor is to be alive: one that sleeps is made again. Answered when that is written down. */
  wake: method<{ actor: string }, object>("actor.wake", record({ actor: actorId }), empty),
  /**
   * Worker to its agent: the incarnation has had no call for its `passivateAfterMs`. `going`: it is being put to sleep, and
   * `worker.leaveActor` follows; else it stays for now, since there is something in its mailbox or its node is leaving.
   */
  idle: method<{ actor: string; epoch: number }, { going: boolean }>(
    "actor.idle",
    record({ actor: actorId, epoch: uint }),
    record({ going: bool }),
  ),
} as const;
