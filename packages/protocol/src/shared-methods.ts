/** Request methods that have to do with actors that live with others in one process. */
import { bool, bytes, optional, record, text, uint } from "./check.js";
import { actorId } from "./messages/id-checks.js";
import { empty, method } from "./method.js";
import { actorView, type ActorView } from "./messages/actors.js";
import { ownSpec, type OwnSpec } from "./spec-templates.js";
import { actorSpec, type ActorSpec } from "./specs.js";

/** Served by every agent. */
export const SharedActors = {
  /**
   * As `actor.create`, of an actor whose template the agent knows, or learns by `base`. `unknown`: it does not; nothing
   * was done.
   */
  create: method<
    { own: OwnSpec; base?: ActorSpec | undefined; getIfExists: boolean },
    { existing?: ActorSpec | undefined; view?: ActorView | undefined; unknown?: boolean | undefined }
  >(
    "shared.create",
    record({ own: ownSpec, base: optional(actorSpec), getIfExists: bool }),
    record({ existing: optional(actorSpec), view: optional(actorView), unknown: optional(bool) }),
  ),
} as const;

/** Served by a worker that hosts many actors, for its own agent only. */
export const SharedHosts = {
  /** Become a host of many actors, whose calls come to the endpoint `host`. */
  open: method<{ host: string }, object>("shared.open", record({ host: actorId }), empty),
  /**
   * Make this incarnation beside the others. Fails with what the constructor threw. `base`: makes the template known,
   * with the first actor of each; `state`: what an earlier incarnation has saved.
   */
  start: method<
    {
      own: OwnSpec;
      base?: ActorSpec | undefined;
      epoch: number;
      state?: Uint8Array | undefined;
    },
    object
  >(
    "shared.start",
    record({ own: ownSpec, base: optional(actorSpec), epoch: uint, state: optional(bytes) }),
    empty,
  ),
  /**
   * End this incarnation. `inOrder`: what runs may end within `deadlineMs`, then `onDeactivate` runs; else the signals of
   * calls that run are aborted, and none begins. `running`: calls that have not ended; `error`: the message of what `onDeactivate` threw.
   */
  end: method<
    { actor: string; epoch: number; reason: string; inOrder: boolean; deadlineMs: number },
    { running: number; error?: string | undefined }
  >(
    "shared.end",
    record({ actor: actorId, epoch: uint, reason: text, inOrder: bool, deadlineMs: uint }),
    record({ running: uint, error: optional(text) }),
  ),
  /**
   * The job is over: end all that do not outlive it, and take none of them any more. What runs may end within
   * `deadlineMs`, then `onDeactivate` runs.
   */
  endJob: method<{ reason: string; deadlineMs: number }, object>(
    "shared.endJob",
    record({ reason: text, deadlineMs: uint }),
    empty,
  ),
} as const;

/** Served by the endpoint of many actors, for whoever calls them. */
export const SharedCalls = {
  /**
   * Answered when the constructor of this incarnation has ended. `made`: it lives there; else it has failed, was ended, or
   * nothing is known of it.
   */
  made: method<{ actor: string; epoch: number }, { made: boolean }>(
    "shared.made",
    record({ actor: actorId, epoch: uint }),
    record({ made: bool }),
  ),
} as const;
