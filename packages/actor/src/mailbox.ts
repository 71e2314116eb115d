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
  exclusive: number;
  shared: number;
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
      if (entry.shared) group.shared++;
      else group.exclusive++;
      return {
        entry,
        finished: () => {
          if (entry.shared) group.shared--;
          else group.exclusive--;
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

  get queued(): number {
    let n = 0;
    for (const group of this.groups.values()) n += group.queue.length;
    return n;
  }
}

function newGroup(limit: number): Group {
  return { limit, queue: new Fifo(), exclusive: 0, shared: 0 };
}

/** Only the head of a group is looked at, so that a stream of readers can't starve a writer. */
function mayStart(group: Group, entry: QueuedCall): boolean {
  return entry.shared ? group.exclusive === 0 : group.shared === 0 && group.exclusive < group.limit;
}
