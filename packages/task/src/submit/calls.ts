/**
 * Calls that wait for an answer, of tasks and of actor methods alike: by sequence number, which is also what the
 * ids of their results are made of.
 */
import {
  Op,
  Owner,
  ValueKind,
  ownerOf,
  taskDone,
  taskStarted,
  taskYield,
  type Location,
  type NodeId,
  type ObjectId,
  type ProcessId,
  type TaskDone,
  type TaskYield,
  type ValueDesc,
} from "@stingray/protocol";
import type { Channel, Endpoint } from "@stingray/broker";
import type { ObjectEntry } from "../objects/entry.js";
import type { ObjectRef } from "../objects/object-ref.js";
import { stateOf } from "../objects/state.js";
import type { ObjectTable } from "../objects/table.js";

export interface WaitingCall {
  /** The channel that the answer must come on; answers of an earlier attempt come on another and are dropped. */
  readonly channel: () => Channel | undefined;
  onDone(message: TaskDone): void;
  onYield(message: TaskYield): void;
  /** Of tasks with a time limit: it counts from now. */
  onStarted?(): void;
}

export interface CallTableLinks {
  readonly table: ObjectTable;
  /** Gives back copies of a large value. */
  freeStored(id: ObjectId, location: Location): void;
}

/** Which answer of a call: all of it, or an item of a stream. */
interface AnswerOf {
  readonly call: number;
  readonly index?: number;
}

/** A value in a store that came with an answer which nobody took. */
interface Stray {
  readonly id: ObjectId;
  readonly location: Location;
}

export class CallTable {
  private readonly calls = new Map<number, WaitingCall>();
  /** Of calls that are not over: what the next attempt makes has the same id, and may lie in the same place. */
  private readonly strays = new Map<number, Stray[]>();
  private readonly table: ObjectTable;

  constructor(private readonly links: CallTableLinks) {
    this.table = links.table;
  }

  serve(inbox: Endpoint): void {
    inbox.on(Op.TaskDone, taskDone, (message, channel) => {
      const [, sequence, , results, , refs] = message;
      const call = this.calls.get(sequence);
      if (call !== undefined && call.channel() === channel) call.onDone(message);
      else this.dropped(channel, { call: sequence }, results, refs);
    });
    inbox.on(Op.TaskYield, taskYield, (message, channel) => {
      const [, sequence, index, item, refs] = message;
      const call = this.calls.get(sequence);
      if (call !== undefined && call.channel() === channel) call.onYield(message);
      else this.dropped(channel, { call: sequence, index }, [item], refs);
    });
    inbox.on(Op.TaskStarted, taskStarted, ([, sequence], channel) => {
      const call = this.calls.get(sequence);
      if (call !== undefined && call.channel() === channel) call.onStarted?.();
    });
  }

  add(sequence: number, call: WaitingCall): void {
    this.calls.set(sequence, call);
  }

  /** The call is over: its results are settled. */
  remove(sequence: number): void {
    this.calls.delete(sequence);
    const strays = this.strays.get(sequence);
    this.strays.delete(sequence);
    for (const stray of strays ?? []) this.free(stray);
  }

  /** An answer of an earlier attempt, or one that came again: nothing of what it brought may stay. */
  private dropped(
    channel: Channel,
    of: AnswerOf,
    values: readonly ValueDesc[],
    refs: readonly string[] | undefined,
  ): void {
    if (refs !== undefined && refs.length > 0) this.hold([], refs, channel, of);
    for (const desc of values) {
      if (desc[0] !== ValueKind.Stored) continue;
      const stray: Stray = { id: desc[2] as ObjectId, location: desc[1] };
      const known = this.strays.get(of.call);
      if (!this.calls.has(of.call)) this.free(stray);
      else if (known === undefined) this.strays.set(of.call, [stray]);
      else known.push(stray);
    }
  }

  /** An item that the attempt which is under way repeats: `received` has it, or has had it. */
  repeated(channel: Channel, [, call, index, item, refs]: TaskYield): void {
    if (refs !== undefined && refs.length > 0) this.hold([], refs, channel, { call, index });
    if (item[0] === ValueKind.Stored) this.free({ id: item[2] as ObjectId, location: item[1] });
  }

  /** Frees all copies but those that are in use. */
  private free({ id, location: [size, copies, generation] }: Stray): void {
    const state = this.table.lookup(id)?.state;
    const used = new Set(state?.kind === "stored" ? state.location[1].map(([node]) => node) : []);
    const others = copies.filter(([node]) => !used.has(node));
    if (others.length > 0) this.links.freeStored(id, [size, others, generation]);
  }

  get size(): number {
    return this.calls.size;
  }

  /** Settles results with what the answer says of them, and keeps the references inside. */
  settle(results: readonly ObjectEntry[], message: TaskDone, channel: Channel): void {
    const [, call, , descriptions, , refs] = message;
    if (refs !== undefined && refs.length > 0) this.hold(results, refs, channel, { call });
    for (let i = 0; i < results.length; i++) {
      const entry = results[i];
      const desc = descriptions[i];
      if (entry !== undefined && desc !== undefined) this.table.settle(entry, stateOf(desc));
    }
  }

  /**
   * The references inside a value are held with it; where nobody holds that, they are given back. The sender may let go
   * once their owners know of this process.
   */
  hold(results: readonly ObjectEntry[], refs: readonly string[], channel: Channel, call: AnswerOf): void {
    const sender = channel.peer.process ?? channel.peer.endpoint;
    const holders = results.filter((entry) => !entry.freed);
    const foreign: ObjectEntry[] = [];
    const unheld: ObjectRef[] = [];
    for (const text of refs) {
      const [id = "", node] = text.split("/");
      const fromOwner = ownerOf(id as ObjectId) === sender;
      const inner = this.table.adopt(id as ObjectId, node as NodeId | undefined, fromOwner);
      if (!fromOwner && !inner.owned) foreign.push(inner);
      for (const entry of holders) (entry.contained ??= []).push(this.table.handle(inner));
      if (holders.length === 0) unheld.push(this.table.handle(inner));
    }
    const tell = (): void => {
      channel.request(Owner.borrowed, call).catch(() => {}); // the sender is gone: nothing to let go of
    };
    if (foreign.length > 0) this.table.confirm(foreign).then(tell, tell);
    else if (refs.some((text) => ownerOf(text.split("/")[0] as ObjectId) !== (sender as ProcessId))) tell();
    for (const ref of unheld) ref.release();
  }
}
