/**
 * A lease: at most one holder at a time, by compare-and-set on one row that the holder keeps changing. Whether a
 * holder is gone is judged by each observer's own monotonic clock, from the moment it last saw the row change: no
 * clocks of two machines are ever compared. The epoch, the revision of the claim, grows with each new holder; who
 * acts on the lease writes it along, so that a former holder that was only asleep can do no harm.
 */
import { setTimeout as sleep } from "node:timers/promises";
import {
  bool,
  InvalidArgumentError,
  record,
  StingrayError,
  text,
  toError,
  uint,
  type Check,
} from "@stingray/protocol";
import { nextLeaseState, type LeaseEvent, type LeaseState } from "./lease-state.js";
import type { Table } from "./table.js";

/** The row of a lease, under `_lease/<name>` of `nodes`. */
export interface LeaseRow {
  holder: string;
  ttlMs: number;
  /** Revision of the claim; 0 in the claim itself, which can't know it. */
  epoch: number;
  /** Given back: anybody may claim it at once. */
  free: boolean;
}
export const leaseRow: Check<LeaseRow> = record<LeaseRow>({
  holder: text,
  ttlMs: uint,
  epoch: uint,
  free: bool,
});

const SHORTEST_MS = 50;
/** Renewals per term: two may fail before it is lost. */
const RENEWALS = 3;
/** Looks at somebody else's lease per term. */
const LOOKS = 3;

export interface LeaseOptions {
  name: string;
  /** Who competes: an id that is never used again. */
  holder: string;
  /** Term in milliseconds. */
  ttlMs: number;
  /** Where the row is. */
  key: string;
  table: Promise<Table<LeaseRow>>;
  /** Ends {@link Lease.run} like its own signal: the store is closed. */
  closed: AbortSignal;
}

export class Lease {
  readonly name: string;
  readonly holder: string;
  readonly ttlMs: number;
  readonly #key: string;
  readonly #table: Promise<Table<LeaseRow>>;
  readonly #closed: AbortSignal;
  #state: LeaseState = { kind: "idle" };
  #epoch = 0;

  /** Nothing is read or written before `acquire`. Made by `ControlStore.lease`. @throws InvalidArgumentError */
  constructor({ name, holder, ttlMs, key, table, closed }: LeaseOptions) {
    if (!Number.isSafeInteger(ttlMs) || ttlMs < SHORTEST_MS) {
      throw new InvalidArgumentError(
        `ttlMs of lease "${name}" is ${ttlMs}: it must be a whole number of milliseconds from ${SHORTEST_MS}`,
      );
    }
    table.catch(() => {}); // told by whatever needs it first
    this.name = name;
    this.holder = holder;
    this.ttlMs = ttlMs;
    this.#key = key;
    this.#table = table;
    this.#closed = closed;
  }

  /** As of now: a term that has run out is `lost`, renewed or not. */
  get state(): LeaseState {
    return this.#next({ kind: "time", at: performance.now() });
  }
  /** Of the last claim, also when it is lost; 0 before the first. */
  get epoch(): number {
    return this.#epoch;
  }

  /**
   * One try to get it: at once where it is free, or where its holder was silent for its whole term while we looked.
   * Where it is held by another, the answer is `observing`: try again. @throws ConnectionError
   */
  async acquire(): Promise<LeaseState> {
    if (this.state.kind === "held") return this.#state;
    const table = await this.#table;
    const row = await table.get(this.#key);
    if (row !== undefined && !row.value.free) {
      const { holder, ttlMs } = row.value;
      const seen = this.#next({ kind: "seen", holder, ttlMs, revision: row.revision, at: performance.now() });
      if (seen.kind !== "observing" || performance.now() - seen.since < ttlMs) return seen;
    }
    const claim: LeaseRow = { holder: this.holder, ttlMs: this.ttlMs, epoch: 0, free: false };
    const sentAt = performance.now();
    const written =
      row === undefined
        ? await table.create(this.#key, claim)
        : await table.update(this.#key, claim, row.revision);
    if (written.ok) {
      this.#epoch = written.revision;
      this.#next({ kind: "claimed", epoch: written.revision, sentAt, ttlMs: this.ttlMs });
      return this.state; // the answer may have come after the term
    }
    const now = written.current;
    if (now === undefined || now.value.free) return this.#state;
    const { holder, ttlMs } = now.value;
    return this.#next({ kind: "seen", holder, ttlMs, revision: now.revision, at: performance.now() });
  }

  /** Lengthens the term; the state afterwards says whether it is still ours. @throws ConnectionError, while it is */
  async renew(): Promise<LeaseState> {
    return this.#write(false);
  }

  /** Gives it back, so that the next holder need not wait for the end of the term. No error where it is not held. */
  async release(): Promise<void> {
    if (this.state.kind !== "held") return;
    await this.#write(true);
    this.#next({ kind: "released" });
  }

  /**
   * Competes for the lease until `until` ends, and keeps it renewed. Whenever it is won, `onHeld` is called with
   * the epoch and a signal that ends when it is lost; it is not competed for again before `onHeld` has returned.
   * Resolves when `until` has ended (the lease is then given back) or `onHeld` returned while it was still held.
   * @throws what `onHeld` throws while the lease is held, and errors that can't pass (AuthError). A broker that is
   * away is waited for
   */
  async run(until: AbortSignal, onHeld: (epoch: number, held: AbortSignal) => Promise<void>): Promise<void> {
    const signal = AbortSignal.any([until, this.#closed]);
    while (!signal.aborted) {
      const state = await this.acquire().catch((error: unknown) => {
        if (!signal.aborted && error instanceof StingrayError && !error.retryable) throw error;
        return this.state;
      });
      if (state.kind !== "held") {
        const pause = Math.min(state.kind === "observing" ? state.ttlMs : this.ttlMs, this.ttlMs) / LOOKS;
        await sleep(pause * (0.75 + Math.random() / 2), undefined, { signal }).catch(() => {});
        continue;
      }
      if (await this.#hold(state.epoch, signal, onHeld)) return;
    }
  }

  /** True where `onHeld` returned by itself, or the whole is to end. */
  async #hold(
    epoch: number,
    signal: AbortSignal,
    onHeld: (epoch: number, held: AbortSignal) => Promise<void>,
  ): Promise<boolean> {
    const lost = new AbortController();
    const done = new AbortController();
    const held = AbortSignal.any([signal, lost.signal]);
    const renewing = this.#keep(epoch, lost, done.signal);
    let failure: Error | undefined;
    try {
      await onHeld(epoch, held);
    } catch (error) {
      failure = toError(error);
    }
    done.abort();
    await renewing;
    const byItself = !held.aborted;
    await this.release().catch(() => {}); // else its term runs out
    if (byItself && failure !== undefined) throw failure;
    return byItself || signal.aborted;
  }

  /** Renews until `done`, or ends `lost`: at the end of the term at the latest, whatever the broker does. */
  async #keep(epoch: number, lost: AbortController, done: AbortSignal): Promise<void> {
    const ours = (): boolean => this.state.kind === "held" && this.epoch === epoch;
    let watchdog: NodeJS.Timeout | undefined;
    // Looks when the term ends, which each renewal puts off: a holder that is idle should not be woken for nothing.
    const watch = (): void => {
      const { state } = this;
      if (state.kind !== "held" || !ours()) lost.abort(new Error(`lease ${this.name} is lost`));
      else watchdog = setTimeout(watch, Math.max(1, state.until - performance.now()));
    };
    watch();
    const ended = aborted(AbortSignal.any([done, lost.signal]));
    try {
      while (!done.aborted && ours()) {
        await sleep(this.ttlMs / RENEWALS, undefined, { signal: done }).catch(() => {});
        if (!done.aborted && ours()) await Promise.race([this.renew().catch(() => {}), ended]);
      }
    } finally {
      clearTimeout(watchdog);
    }
    if (!done.aborted) lost.abort(new Error(`lease ${this.name} is lost`));
  }

  async #write(free: boolean): Promise<LeaseState> {
    const table = await this.#table;
    for (let state = this.state; state.kind === "held"; state = this.state) {
      const { epoch, revision } = state;
      const sentAt = performance.now();
      const row: LeaseRow = { holder: this.holder, ttlMs: this.ttlMs, epoch, free };
      const written = await table.update(this.#key, row, revision);
      if (written.ok)
        return this.#next({ kind: "renewed", revision: written.revision, sentAt, ttlMs: this.ttlMs });
      const { current } = written;
      // A renewal of ours whose answer never came still is ours: go on from it.
      if (current === undefined || current.value.epoch !== epoch || current.value.free) {
        return this.#next({ kind: "taken" });
      }
      this.#next({ kind: "renewed", revision: current.revision, sentAt: state.until, ttlMs: 0 });
    }
    return this.#state;
  }

  #next(event: LeaseEvent): LeaseState {
    return (this.#state = nextLeaseState(this.#state, event));
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
