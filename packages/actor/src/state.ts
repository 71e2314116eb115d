/** What a caller knows of an actor. */
import {
  ActorDiedError,
  decodeError,
  type ActorView,
  type StingrayError,
  type WireError,
} from "@stingray/protocol";
import type { Channel } from "@stingray/broker";

/**
 * - `claiming`: its creation was asked for and not yet answered
 * - `waiting`: it is being placed, constructed or restarted, for what `reason` says where that is known; calls queue
 * - `alive`: calls are sent on `channel` to the incarnation `epoch`
 * - `leaving`: the incarnation `epoch` was ended in order and another follows; what it has not begun comes back on
 *   `channel`, and nothing more is sent there
 * - `asleep`: it was saved and put to sleep; calls are kept, and wake it
 * - `unreachable`: the channel to it broke; what happened to it is being found out
 * - `dead`: for good; `error` is what calls fail with
 */
export type ClientState =
  | { readonly kind: "claiming" }
  | {
      readonly kind: "waiting";
      readonly restarting: boolean;
      readonly reason?: string | undefined;
      /** Of the loss of its last incarnation. */
      readonly cause?: WireError | undefined;
      /** No node can ever host it as they are. */
      readonly infeasible?: boolean | undefined;
    }
  | { readonly kind: "alive"; readonly epoch: number; readonly channel: Channel }
  | { readonly kind: "leaving"; readonly epoch: number; readonly channel: Channel }
  | { readonly kind: "asleep"; readonly epoch: number }
  | { readonly kind: "unreachable"; readonly epoch: number }
  | { readonly kind: "dead"; readonly error: StingrayError };

export type ClientEvent =
  | { readonly kind: "claimed" }
  | { readonly kind: "view"; readonly view: ActorView; readonly open: (view: ActorView) => Channel }
  | { readonly kind: "broken"; readonly epoch: number }
  | { readonly kind: "refused"; readonly error: StingrayError };

/** The one place that changes a client's state. The same state means that nothing changed. */
export function next(state: ClientState, event: ClientEvent, name: string): ClientState {
  if (state.kind === "dead") return state;
  switch (event.kind) {
    case "claimed":
      return state.kind === "claiming" ? { kind: "waiting", restarting: false } : state;
    case "refused":
      return { kind: "dead", error: event.error };
    case "broken":
      if (state.kind === "leaving" && state.epoch === event.epoch)
        return { kind: "waiting", restarting: true };
      return state.kind === "alive" && state.epoch === event.epoch
        ? { kind: "unreachable", epoch: event.epoch }
        : state;
    case "view":
      return fromView(state, event.view, event.open, name);
  }
}

function fromView(
  state: ClientState,
  view: ActorView,
  open: (view: ActorView) => Channel,
  name: string,
): ClientState {
  // Views of an incarnation that is over may still be on their way. Death is for good, also where the row is gone and
  // with it the epoch.
  const { kind } = state;
  const passed = kind === "alive" || kind === "leaving" || kind === "unreachable" || kind === "asleep";
  if (passed && view.state !== "DEAD" && view.epoch < state.epoch) return state;
  switch (view.state) {
    case "DEAD":
      return { kind: "dead", error: diedError(name, view) };
    case "ALIVE":
      if (state.kind === "alive" && state.epoch === view.epoch) return state;
      // It was heard last of an agent that knew more.
      if ((kind === "unreachable" || kind === "asleep") && state.epoch === view.epoch) return state;
      return { kind: "alive", epoch: view.epoch, channel: open(view) };
    case "PASSIVE":
      return kind === "asleep" && state.epoch === view.epoch ? state : { kind: "asleep", epoch: view.epoch };
    case "PENDING":
    case "RESTARTING": {
      const restarting = view.state === "RESTARTING";
      const reason = view.cause?.message;
      if (view.moving === true) {
        if (state.kind === "leaving") return state;
        // The view of a next claim may come in place of the first one that says so.
        if (state.kind === "alive") return { kind: "leaving", epoch: state.epoch, channel: state.channel };
      }
      const infeasible = view.infeasible === true;
      const same = state.kind === "waiting" && state.restarting === restarting && state.reason === reason;
      if (same && (state.infeasible ?? false) === infeasible) return state;
      return {
        kind: "waiting",
        restarting,
        reason,
        ...(restarting && view.cause !== undefined ? { cause: view.cause } : {}),
        ...(infeasible ? { infeasible } : {}),
      };
    }
  }
}

function diedError(name: string, view: ActorView): StingrayError {
  const cause = view.cause === undefined ? undefined : decodeError(view.cause);
  const died = `actor ${name} (${view.actor}) died`;
  // One of that kind names the actor and says how it ended.
  const message =
    cause instanceof ActorDiedError
      ? cause.message
      : cause === undefined
        ? died
        : `${died}: ${cause.message}`;
  return new ActorDiedError(message, { cause, detail: { actor: view.actor } });
}
