/**
 * The states of an actor's row and the one function that changes them. Rows are written by compare-and-set on their
 * revision, so of two agents that act on the same row one wins, and the other looks again.
 *
 * A *claim* is a row in PENDING or RESTARTING: `agent` is the one that finds a place for it. The revision of the
 * claim is the epoch of the incarnation made from it. As revisions only grow, so do epochs, and an incarnation that
 * was given up can never become ALIVE: its write would need a revision that is no longer there.
 */
import type { ActorRow } from "@stingray/gcs-kv";
import type { ActorView, WireError } from "@stingray/protocol";

/** `at`: when it died, in milliseconds since 1970. */
export type ActorEvent =
  /** An agent takes it on itself to find a place (again). */
  | { kind: "claimed"; agent: string }
  /** A node has room: from here on it answers for the incarnation `epoch`. */
  | { kind: "hosted"; agent: string; node: string; epoch: number }
  /** Its constructor has run. */
  | {
      kind: "alive";
      agent: string;
      node: string;
      process: string;
      epoch: number;
      /** Of the process that it lives in with others. */
      host?: string | undefined;
    }
  /** Its process is gone. `agent` finds a place for the next incarnation, if there is to be one. */
  | { kind: "lost"; epoch: number; agent: string; cause: WireError; at?: number }
  /** Its node is being drained, and has ended the incarnation in order. `agent` finds a place for the next. */
  | { kind: "moved"; epoch: number; agent: string; cause: WireError }
  /** It had no calls for a while, was saved and ended in order. What comes for it wakes it. */
  | { kind: "slept"; epoch: number }
  /** There is something for one that sleeps: an agent takes it on itself to find a place. */
  | { kind: "woken"; agent: string }
  /** It ends for good. `epoch`: only where this incarnation is the one that is alive. */
  | { kind: "ended"; cause: WireError; at?: number; epoch?: number };

/** The row after the event, or undefined where the event is stale or changes nothing. */
export function nextActorRow(row: ActorRow, event: ActorEvent): ActorRow | undefined {
  if (row.state === "DEAD") return undefined;
  const { process: _process, node: _node, agent: _agent, host: _host, cause: _cause, moving, ...rest } = row;
  const still = moving === true ? { moving } : {};
  switch (event.kind) {
    case "claimed":
      return isClaim(row) ? { ...rest, ...still, agent: event.agent } : undefined;
    case "hosted":
      if (!isClaim(row) || event.epoch <= row.epoch) return undefined;
      return {
        ...rest,
        ...still,
        ...(_cause === undefined ? {} : { cause: _cause }), // for the next incarnation, which may need to know
        epoch: event.epoch,
        agent: event.agent,
        node: event.node,
      };
    case "alive":
      if (!isClaim(row) || event.epoch < row.epoch) return undefined;
      return {
        ...rest,
        state: "ALIVE",
        epoch: event.epoch,
        agent: event.agent,
        node: event.node,
        process: event.process,
        ...(event.host === undefined ? {} : { host: event.host }),
      };
    case "lost": {
      if (row.epoch > event.epoch || row.state === "PASSIVE") return undefined;
      const again = row.spec.maxRestarts < 0 || row.restarts < row.spec.maxRestarts;
      if (!again) return dead(rest, event);
      return {
        ...rest,
        state: "RESTARTING",
        epoch: event.epoch,
        restarts: row.restarts + 1,
        agent: event.agent,
        cause: event.cause,
      };
    }
    case "moved":
      if (row.state !== "ALIVE" || row.epoch !== event.epoch) return undefined;
      return { ...rest, state: "RESTARTING", agent: event.agent, cause: event.cause, moving: true };
    case "slept":
      return row.state === "ALIVE" && row.epoch === event.epoch ? { ...rest, state: "PASSIVE" } : undefined;
    case "woken":
      return row.state === "PASSIVE" ? { ...rest, state: "RESTARTING", agent: event.agent } : undefined;
    case "ended":
      if (event.epoch !== undefined && (row.state !== "ALIVE" || row.epoch !== event.epoch)) return undefined;
      return dead(rest, event);
  }
}

/** Whether an agent finds, or has found, a place for it. */
function isClaim({ state }: ActorRow): boolean {
  return state === "PENDING" || state === "RESTARTING";
}

function dead(
  row: Omit<ActorRow, "state" | "cause">,
  { cause, at }: { cause: WireError; at?: number },
): ActorRow {
  return { ...row, state: "DEAD", cause, ...(at === undefined ? {} : { diedAt: at }) };
}

/** What watchers are told of a row. */
export function viewOf(row: ActorRow): ActorView {
  const view: ActorView = { actor: row.spec.actor, state: row.state, epoch: row.epoch };
  if (row.state === "ALIVE") {
    view.process = row.process;
    view.node = row.node;
    if (row.host !== undefined) view.host = row.host;
  }
  if (row.cause !== undefined) view.cause = row.cause;
  if (row.moving === true) view.moving = true;
  if (row.spec.durable === true) view.durable = true;
  return view;
}

/** Whether the row is (still) about this incarnation: as host, one may act for it. */
export function concerns(row: ActorRow, epoch: number, revision: number): boolean {
  return row.state !== "DEAD" && (row.epoch === epoch || revision === epoch);
}
