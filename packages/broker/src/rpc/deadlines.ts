/**
 * Deadlines of requests. Most are met, so setting and clearing one must cost next to nothing: those of the same
 * length stand in one list in the order of their end, and one timer per length watches the first. No timer keeps
 * the process alive.
 */

export interface Deadline {
  readonly list: List;
  readonly at: number;
  readonly missed: () => void;
  before: Deadline | undefined;
  after: Deadline | undefined;
}

interface List {
  readonly ms: number;
  first: Deadline | undefined;
  last: Deadline | undefined;
  timer: NodeJS.Timeout | undefined;
}

export class Deadlines {
  private readonly lists = new Map<number, List>();

  /** Calls `missed` after `ms` unless cleared before. */
  set(ms: number, missed: () => void): Deadline {
    let list = this.lists.get(ms);
    if (list === undefined) {
      list = { ms, first: undefined, last: undefined, timer: undefined };
      this.lists.set(ms, list);
    }
    const deadline: Deadline = { list, at: performance.now() + ms, missed, before: list.last, after: undefined };
    if (list.last === undefined) list.first = deadline;
    else list.last.after = deadline;
    list.last = deadline;
    if (list.timer === undefined) this.watch(list, ms);
    return deadline;
  }

  clear(deadline: Deadline): void {
    const { list, before, after } = deadline;
    if (before === undefined && list.first !== deadline) return; // cleared or missed before
    if (before === undefined) list.first = after;
    else before.after = after;
    if (after === undefined) list.last = before;
    else after.before = before;
    deadline.before = deadline.after = undefined;
  }

  /** Stops all timers; nothing is called any more. */
  close(): void {
    for (const list of this.lists.values()) clearTimeout(list.timer);
    this.lists.clear();
  }

  private watch(list: List, ms: number): void {
    list.timer = setTimeout(() => this.look(list), Math.max(1, Math.ceil(ms))).unref();
  }

  private look(list: List): void {
    list.timer = undefined;
    const now = performance.now();
    for (let first = list.first; first !== undefined && first.at <= now; first = list.first) {
      this.clear(first);
      first.missed();
    }
    if (list.timer !== undefined) return;
    if (list.first === undefined) this.lists.delete(list.ms);
    else this.watch(list, list.first.at - now);
  }
}
