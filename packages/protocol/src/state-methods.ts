/** What agents are asked about the saved state of actors. */
import { bytes, optional, record, uint } from "./check.js";
import { actorId } from "./messages/id-checks.js";
import { empty, method } from "./method.js";

export const agentStateMethods = {
  /**
   * Worker to its own agent: store what this incarnation saves; answered once it is stored. What is absent stays as it
   * is; both are stored together. `state` is an encoded value of at most {@link MAX_STATE} bytes, `mailbox` belongs to the
   * durable mailbox. Fails with StaleEpochError where the incarnation is no longer the newest. While the broker is away it
   * is tried until that is back.
   */
  actorSave: method<
    { actor: string; epoch: number; state?: Uint8Array | undefined; mailbox?: Uint8Array | undefined },
    object
  >(
    "actor.save",
    record({ actor: actorId, epoch: uint, state: optional(bytes), mailbox: optional(bytes) }),
    empty,
  ),
} as const;

/** Largest state of an actor, encoded. Bytes. */
export const MAX_STATE = 64 * 1024 * 1024;
