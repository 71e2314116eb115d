/**
 * Calls that wait for an answer, of tasks and of actor methods alike: by sequence number, which is also what the
 * ids of their results are made of.
 */
import {
  Op,
  Owner,
  ownerOf,
  taskDone,
  taskStarted,
  taskYield,
  type NodeId,
  type ObjectId,
  type ProcessId,
  type TaskDone,
  type TaskYield,
} from "@stingray/protocol";
import type { Channel, Endpoint } from "@stingray/broker";
import type { ObjectEntry } from "../objects/entry.js";
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

export class CallTable {
  private readonly calls = new Map<number, WaitingCall>();

  constructor(private readonly table: ObjectTable) {}

  serve(inbox: Endpoint): void {
    inbox.on(Op.TaskDone, taskDone, (message, channel) => {
      const call = this.calls.get(message[1]);
      if (call !== undefined && call.channel() === channel) call.onDone(message);
    });
    inbox.on(Op.TaskYield, taskYield, (message, channel) => {
      const call = this.calls.get(message[1]);
      if (call !== undefined && call.channel() === channel) call.onYield(message);
    });
    inbox.on(Op.TaskStarted, taskStarted, ([, sequence], channel) => {
      const call = this.calls.get(sequence);
      if (call !== undefined && call.channel() === channel) call.onStarted?.();
    });
  }

  add(sequence: number, call: WaitingCall): void {
    this.calls.set(sequence, call);
  }

  remove(sequence: number): void {
    this.calls.delete(sequence);
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

  /** The references inside a value are held with it. The sender may let go once their owners know of this process. */
  hold(
    results: readonly ObjectEntry[],
    refs: readonly string[],
    channel: Channel,
    call: { call: number; index?: number },
  ): void {
    const sender = channel.peer.process ?? channel.peer.endpoint;
    const foreign: ObjectEntry[] = [];
    for (const text of refs) {
      const [id = "", node] = text.split("/");
      const fromOwner = ownerOf(id as ObjectId) === sender;
      const inner = this.table.adopt(id as ObjectId, node as NodeId | undefined, fromOwner);
      if (!fromOwner && !inner.owned) foreign.push(inner);
      for (const entry of results) (entry.contained ??= []).push(this.table.handle(inner));
    }
    const tell = (): void => {
      channel.request(Owner.borrowed, call).catch(() => {}); // the sender is gone: nothing to let go of
    };
    if (foreign.length > 0) this.table.confirm(foreign).then(tell, tell);
    else if (refs.some((text) => ownerOf(text.split("/")[0] as ObjectId) !== (sender as ProcessId))) tell();
  }
}
