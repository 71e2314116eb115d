/**
 * The order in which an actor runs its calls: by arrival, one at a time unless more is allowed. `shared` calls run
 * beside each other and never beside the others; named groups have limits of their own.
 */
import { Fifo, type Body, type IncomingCall } from "@stingray/task/internal";

export interface QueuedCall {
  readonly call: IncomingCall;
  readonly shared: boolean;
  readonly body: Body;
}

interface Group {
  readonly limit: number;
  readonly queue: Fifo<QueuedCall>;
  /** What runs: all shared, or none of them. */
  readonly running: IncomingCall[];
  sharing: boolean;
}

/** Why nothing of a group can start: when `needs` of these have ended, the first of those that wait can. */
export interface HeldUp {
  readonly holders: readonly IncomingCall[];
  readonly needs: number;
  readonly waiting: Iterable<QueuedCall>;
}

/** The group of methods that name none. */
const DEFAULT_GROUP = "";

export class Mailbox {
  private readonly groups = new Map<string, Group>();

  constructor(maxConcurrency: number, groups: Readonly<Record<string, number>>) {
    this.groups.set(DEFAULT_GROUP, newGroup(maxConcurrency));
    for (const [name, limit] of Object.entries(groups)) this.groups.set(name, newGroup(limit));
  }

  has(group: string): boolean {
    return this.groups.has(group);
  }

  add(entry: QueuedCall, group = DEFAULT_GROUP): void {
    const target = this.groups.get(group);
    if (target === undefined) throw new RangeError(`no concurrency group "${group}"`);
    target.queue.push(entry);
  }

  /** The next call that may start now, taken out and counted; undefined if none may. */
  next(): { entry: QueuedCall; finished: () => void } | undefined {
    for (const group of this.groups.values()) {
      const entry = group.queue.peek();
      if (entry === undefined || !mayStart(group, entry)) continue;
      group.queue.shift();
      const { running } = group;
      group.sharing = entry.shared;
      running.push(entry.call);
      return {
        entry,
        finished: () => {
          const last = running.pop();
          if (last !== undefined && last !== entry.call) running[running.indexOf(entry.call)] = last;
        },
      };
    }
    return undefined;
  }

  /** Takes out the calls that match, unstarted. */
  remove(matches: (call: IncomingCall) => boolean): QueuedCall[] {
    const removed: QueuedCall[] = [];
    for (const group of this.groups.values()) {
      for (const entry of group.queue.drain()) {
        if (matches(entry.call)) removed.push(entry);
        else group.queue.push(entry);
      }
    }
    return removed;
  }

  /** The calls that run. */
  running(): IncomingCall[] {
    return [...this.groups.values()].flatMap(({ running }) => running);
  }

  /** The groups in which calls wait for others to end. */
  *heldUp(): Generator<HeldUp> {
    for (const name of this.groups.keys()) {
      const group = this.heldUpIn(name);
      if (group !== undefined) yield group;
    }
  }

  /** Why nothing of a group can start; undefined where something can, or nothing waits. */
  heldUpIn(name = DEFAULT_GROUP): HeldUp | undefined {
    const group = this.groups.get(name);
    const head = group?.queue.peek();
    if (group === undefined || head === undefined || mayStart(group, head)) return undefined;
    const { queue, running, sharing, limit } = group;
    // A reader waits for all writers, a writer for all readers, or for any one of the writers.
    const any = !head.shared && !sharing;
    return { holders: running, needs: any ? running.length - limit + 1 : running.length, waiting: queue };
  }

  get queued(): number {
    let n = 0;
    for (const group of this.groups.values()) n += group.queue.length;
    return n;
  }
}

function newGroup(limit: number): Group {
  return { limit, queue: new Fifo(), running: [], sharing: false };
}

/** Only the head of a group is looked at, so that a stream of readers can't starve a writer. */
function mayStart({ running, sharing, limit }: Group, entry: QueuedCall): boolean {
  if (running.length === 0) return true;
  return entry.shared ? sharing : !sharing && running.length < limit;
}
