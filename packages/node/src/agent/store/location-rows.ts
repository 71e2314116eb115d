/**
 * Rows of this node's large objects in the control store, written behind: nobody waits for them, and an object that
 * goes within a second costs the broker nothing. Per row only the newest state is ever written, one write at a time.
 */
import { objectKey, type ObjectRow, type Table } from "@stingray/gcs-kv";
import { ownerOf, StingrayError, type ObjectId } from "@stingray/protocol";
import { nextRowState, type RowEvent, type RowState } from "./location-row-state.js";
import type { Timers } from "../timers.js";

/** An object that stays for so long gets a row, in milliseconds. */
const GROWN_UP_MS = 1_000;
/** Objects that come of age within this time do so together, in milliseconds. */
const ROUND_MS = 50;
/** Most writes under way. */
const UNDER_WAY = 64;
/** After a failure there is a pause, in milliseconds; it doubles, and ends with one write alone. */
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 30_000;

export interface LocationRowsHooks {
  /** The table; asked for when it is needed first. */
  table(): Promise<Pick<Table<ObjectRow>, "put" | "delete">>;
  /** Once for all failures until a write succeeds again. */
  failed(what: string, error: unknown): void;
}

interface Entry {
  readonly object: string;
  readonly job: string;
  size: number;
  state: RowState;
}

export class LocationRows {
  private readonly entries = new Map<string, Entry>();
  /** When they come of age; the oldest first. */
  private readonly young = new Map<Entry, number>();
  private readonly due = new Set<Entry>();
  private underWay = 0;
  private failing = false;
  private pauseMs = FIRST_PAUSE_MS;
  private cancelPause: (() => void) | undefined;
  private cancelRound: (() => void) | undefined;
  private stopped = false;

  constructor(
    private readonly own: { node: string; agent: string },
    private readonly timers: Timers,
    private readonly hooks: LocationRowsHooks,
  ) {}

  /** Rows that are not as they should be, those being written among them; the young are not. */
  get pending(): number {
    return this.due.size + this.underWay;
  }

  added(object: string, size: number, job: string): void {
    if (this.stopped) return;
    const entry = this.entries.get(object) ?? { object, job, size, state: { kind: "absent" } };
    const changed = entry.size !== size || isLeaving(entry.state);
    entry.size = size;
    this.entries.set(object, entry);
    if (!changed) return;
    this.step(entry, "here");
    this.nextRound();
    this.pump();
  }

  removed(object: string): void {
    const entry = this.entries.get(object);
    if (entry === undefined) return;
    this.step(entry, "gone");
    this.pump();
  }

  /** The table was lost: every row is written anew. */
  writeAgain(): void {
    for (const entry of this.entries.values()) if (entry.state.kind === "written") this.step(entry, "here");
    this.pump();
  }

  /** Nothing is written any more. Rows stay: they go with their job, and who reads them knows which nodes live. */
  stop(): void {
    this.stopped = true;
    this.cancelPause?.();
    this.cancelRound?.();
    this.due.clear();
    this.young.clear();
    this.entries.clear();
  }

  private step(entry: Entry, event: RowEvent): void {
    if (this.stopped) return;
    entry.state = nextRowState(entry.state, event);
    const { kind } = entry.state;
    if (kind === "absent") this.entries.delete(entry.object);
    if (kind !== "young") this.young.delete(entry);
    else if (!this.young.has(entry)) this.young.set(entry, this.timers.now() + GROWN_UP_MS);
    if (kind === "due") this.due.add(entry);
    else this.due.delete(entry);
  }

  private nextRound(): void {
    const [first] = this.young.values();
    if (first === undefined || this.cancelRound !== undefined) return;
    this.cancelRound = this.timers.defer(Math.max(ROUND_MS, first - this.timers.now()), () => {
      this.cancelRound = undefined;
      const now = this.timers.now();
      for (const [entry, at] of this.young) {
        if (at > now) break;
        this.step(entry, "aged");
      }
      this.nextRound();
      this.pump();
    });
  }

  private pump(): void {
    for (const entry of this.due) {
      if (this.cancelPause !== undefined || this.underWay >= (this.failing ? 1 : UNDER_WAY)) return;
      void this.write(entry); // takes it out of what is due
    }
  }

  private async write(entry: Entry): Promise<void> {
    this.underWay++;
    this.step(entry, "started");
    const { object, job, size } = entry;
    const key = objectKey(job, object, this.own.node);
    const put = entry.state.kind === "writing" && entry.state.write === "put";
    let outcome: RowEvent = "done";
    try {
      const table = await this.hooks.table();
      if (put) await table.put(key, { owner: ownerOf(object as ObjectId), size, agent: this.own.agent });
      else await table.delete(key);
      if (this.cancelPause === undefined) {
        this.failing = false;
        this.pauseMs = FIRST_PAUSE_MS;
      }
    } catch (error) {
      outcome = error instanceof StingrayError && error.retryable ? "failed" : "refused";
      this.pauseAfter(error);
    }
    this.underWay--;
    this.step(entry, outcome);
    this.pump();
  }

  private pauseAfter(error: unknown): void {
    if (this.stopped) return;
    if (!this.failing) this.hooks.failed("note in the control store where large objects are", error);
    this.failing = true;
    this.cancelPause ??= this.timers.defer(this.pauseMs, () => {
      this.cancelPause = undefined;
      this.pauseMs = Math.min(this.pauseMs * 2, LONGEST_PAUSE_MS);
      this.pump();
    });
  }
}

/** Whether the row is absent, or will be. */
function isLeaving(state: RowState): boolean {
  switch (state.kind) {
    case "absent":
      return true;
    case "due":
      return state.write === "delete";
    case "writing":
      return (state.next ?? state.write) === "delete";
    case "young":
    case "written":
      return false;
  }
}
