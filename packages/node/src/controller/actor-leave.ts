/** The end of an incarnation on a node that is drained. */
import { ActorDiedError, DRAINING, encodeError, keepsState } from "@stingray/protocol";
import { describe } from "./actor-directory.js";
import type { HostHooks, Incarnation } from "./actor-host.js";

export interface LeaveOptions {
  /** Why the node is drained. */
  readonly reason: string;
  /** What its calls may take, in milliseconds. */
  readonly deadlineMs: number;
  /** It is made again on another node; else it is dead. */
  readonly again: boolean;
  /** Aborted when it is not waited for any more. */
  readonly late: AbortSignal;
}

/** `over`: it had ended by itself, or another incarnation is in its place. */
export type LeaveOutcome = "moved" | "ended" | "over";

/**
 * The incarnation takes no more calls, ends in order within `deadlineMs` (its `onDeactivate` runs), or is not waited for
 * when `late`, and is made again on another node, or, without `again`, is dead. Its process stays until the agent ends:
 * calls that are still sent to it come back, and the objects that it owns can be asked for. Only where a call of it may
 * still run is it killed, and its end awaited, first: no two incarnations run at a time.
 * @param detach the host has to do with it no more
 */
export async function leaveInOrder(
  inc: Incarnation,
  o: LeaveOptions,
  hooks: HostHooks,
  detach: () => void,
): Promise<LeaveOutcome> {
  const { worker, spec } = inc;
  if (inc.state !== "alive" || worker === undefined) return "over";
  inc.state = "leaving";
  const failed = (error: unknown): void => hooks.failed(`have ${describe(spec)} end in order`, error);
  const left = hooks
    .leaveActor(worker, {
      reason: o.reason,
      deadlineMs: Math.ceil(o.deadlineMs),
      save: o.again && keepsState(spec),
    })
    .then(
      ({ running, error }) => {
        if (error !== undefined) failed(new Error(error));
        return running === 0;
      },
      // One that is late, or gone, is over all the same.
      (error: unknown) => {
        failed(error);
        return false;
      },
    );
  const late = aborted(o.late).then(() => false as const);
  const quiet = await Promise.race([left, late]);
  if (!isLeaving(inc)) return "over";
  if (!quiet) {
    hooks.killWorker(worker, DRAINING);
    await hooks.whenGone(worker);
    if (!isLeaving(inc)) return "over";
  }
  detach();
  const where = `its node ${hooks.node} was drained (${o.reason})`;
  if (o.again) {
    const cause = encodeError(new ActorDiedError(`${describe(spec)} moves: ${where}`));
    return (await hooks.moved(spec.actor, inc.epoch, cause)) ? "moved" : "over";
  }
  const why = spec.maxRestarts === 0 ? "it has maxRestarts 0" : "it is bound to that node";
  await hooks.endActor(
    spec.actor,
    new ActorDiedError(`${describe(spec)} ended: ${where}, and ${why}, so that it did not move`, {
      detail: { reason: o.reason, node: hooks.node },
    }),
  );
  return "ended";
}

/** Asked after an await: the state may have changed meanwhile. */
const isLeaving = (inc: Incarnation): boolean => inc.state === "leaving";

/** One for each signal, however many actors leave by it. */
const abortions = new WeakMap<AbortSignal, Promise<void>>();

/** Resolves when it is aborted. */
export function aborted(signal: AbortSignal): Promise<void> {
  const known = abortions.get(signal);
  if (known !== undefined) return known;
  const promise = new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
  abortions.set(signal, promise);
  return promise;
}
