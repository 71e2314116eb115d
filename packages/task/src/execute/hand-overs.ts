/**
 * References inside results on their way to the receiver: at every moment somebody holds them, and nothing stays of a
 * hand-over whose receiver is gone.
 */
import { Owner, type NodeId, type ObjectId, type ProcessId } from "@stingray/protocol";
import type { Channel, Endpoint } from "@stingray/broker";
import type { ObjectEntry } from "../objects/entry.js";
import type { ObjectTable } from "../objects/table.js";
import type { Answers, IncomingCall } from "./call.js";

export interface HandOverLinks {
  readonly table: ObjectTable;
  channelTo(process: ProcessId, node: NodeId | undefined): Channel;
}

export class HandOvers {
  /** References in results whose receivers have not said yet that they hold them, by the answer they went with. */
  private readonly transfers = new Map<Answers, Map<string, ObjectEntry[]>>();

  constructor(private readonly links: HandOverLinks) {}

  /** On every endpoint that takes calls. */
  serve(endpoint: Endpoint): void {
    endpoint.serve(Owner.borrowed, ({ call, index }, channel) => {
      this.transferred(channel, transferKey(call, index), []);
      return {};
    });
    endpoint.onChannelClosed((channel) => {
      const all = this.transfers.get(channel);
      this.transfers.delete(channel);
      for (const entries of all?.values() ?? []) this.letGo(entries);
    });
  }

  /** References that are to be handed over must not be freed until then. */
  keep(ids: readonly string[]): ObjectEntry[] {
    const { table } = this.links;
    const kept = ids.flatMap((id) => table.lookup(id as ObjectId) ?? []);
    for (const entry of kept) table.pin(entry);
    return kept;
  }

  letGo(entries: readonly ObjectEntry[]): void {
    for (const entry of entries) this.links.table.unpin(entry);
  }

  /** `entries` went with this answer; those that went with it before, in an earlier attempt, are of no use any more. */
  private transferred(channel: Answers, key: string, entries: ObjectEntry[]): void {
    const known = this.transfers.get(channel);
    const before = known?.get(key);
    if (entries.length > 0) {
      if (known === undefined) this.transfers.set(channel, new Map([[key, entries]]));
      else known.set(key, entries);
    } else if (known?.delete(key) === true && known.size === 0) this.transfers.delete(channel);
    if (before !== undefined) this.letGo(before);
  }

  /**
   * References that came with the arguments and are kept: their owners must know before the caller lets go of them.
   * Where the caller is the owner, the note went ahead of the answer on the same channel.
   */
  mustConfirm(call: IncomingCall, revived: ObjectEntry[]): Promise<void> | undefined {
    if (revived.length === 0) return undefined;
    const mailbox = call.lease === "";
    const foreign = revived.filter((e) => !e.owned && !e.freed && (mailbox || e.owner !== call.owner));
    // An owner that is gone can't free anything: its loss shows at the reference itself.
    return foreign.length === 0 ? undefined : this.links.table.confirm(foreign).catch(() => {});
  }

  /**
   * References inside results, which are sent in the same turn: lent to the receiver where they are ours, held until it
   * says so where they are not. Nothing of it stays when the channel closes.
   */
  handOver(call: IncomingCall, ids: readonly string[], index?: number): string[] {
    if (call.channel.closed !== undefined) return []; // nobody would ever give them back
    const kept: ObjectEntry[] = [];
    const out: string[] = [];
    for (const id of ids) {
      const entry = this.links.table.lookup(id as ObjectId);
      if (entry === undefined) continue;
      out.push(entry.ownerNode === undefined ? id : `${id}/${entry.ownerNode}`);
      if (entry.owned) {
        this.links.table.lend(entry, call.owner);
        // Its borrows end when this channel closes; the call may have come by another, to the mailbox of an actor.
        this.links.channelTo(call.owner, call.channel.peer.node);
      } else if (entry.owner !== call.owner) {
        this.links.table.pin(entry);
        kept.push(entry);
      }
    }
    this.transferred(call.channel.via ?? call.channel, transferKey(call.sequence, index), kept);
    return out;
  }
}

function transferKey(call: number, index: number | undefined): string {
  return `${call}.${index ?? ""}`;
}
