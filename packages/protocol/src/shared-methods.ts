/** Request methods of a worker that hosts many actors, served for its own agent only. */
import { bool, optional, record, text, uint } from "./check.js";
import { actorId } from "./messages/id-checks.js";
import { empty, method } from "./method.js";
import { actorSpec, type ActorSpec } from "./specs.js";

export const SharedHosts = {
  /** Become a host of many actors, whose calls come to the endpoint `host`. */
  open: method<{ host: string }, object>("shared.open", record({ host: actorId }), empty),
  /** Make this incarnation beside the others. Fails with what the constructor threw. */
  start: method<{ spec: ActorSpec; epoch: number }, object>(
    "shared.start",
    record({ spec: actorSpec, epoch: uint }),
    empty,
  ),
  /**
   * End this incarnation. `inOrder`: what runs may end within `deadlineMs`, then `onDeactivate` runs; else calls that
   * run are no longer waited for. `running`: calls that have not ended; `error`: the message of what `onDeactivate` threw.
   */
  end: method<
    { actor: string; epoch: number; reason: string; inOrder: boolean; deadlineMs: number },
    { running: number; error?: string | undefined }
  >(
    "shared.end",
    record({ actor: actorId, epoch: uint, reason: text, inOrder: bool, deadlineMs: uint }),
    record({ running: uint, error: optional(text) }),
  ),
} as const;
