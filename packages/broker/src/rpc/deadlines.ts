/**
 * Deadlines of requests. Most are met, so setting and clearing one must cost next to nothing: those of the same
 * length stand in one list in the order of their end, linked through the waiting things themselves, and one timer per
 * length watches the first. No timer keeps the process alive.
 */

/** Something that waits with a deadline. The fields belong to {@link Deadlines}. */
export interface Waiting {
  /** Milliseconds of `performance.now()`, rounded up. */
  endsAt: number;
  list: WaitingList | undefined;
  before: Waiting | undefined;
  after: Waiting | undefined;
  /** Its time is up. It is in no list any more. */
  missed(): void;
}

export interface WaitingList {
  readonly ms: number;
  first: Waiting | undefined;
  last: Waiting | undefined;
  timer: NodeJS.Timeout | undefined;
}

export class Deadlines {
  private readonly lists = new Map<number, WaitingList>();

  /** Calls `one.missed()` after `ms` milliseconds unless cleared before. */
  set(ms: number, one: Waiting): void {
    let list = this.lists.get(ms);
    if (list === undefined) {
      list = { ms, first: undefined, last: undefined, timer: undefined };
      this.lists.set(ms, list);
    }
    one.endsAt = Math.ceil(performance.now() + ms);
    one.list = list;
    one.before = list.last;
    if (list.last === undefined) list.first = one;
    else list.last.after = one;
    list.last = one;
    if (list.timer === undefined) this.watch(list, ms);
  }

  clear(one: Waiting): void {
    const { list, before, after } = one;
    if (list === undefined) return;
    if (before === undefined) list.first = after;
    else before.after = after;
    if (after === undefined) list.last = before;
    else after.before = before;
    one.list = one.before = one.after = undefined;
  }

  /** Stops all timers; nothing is called any more. */
  close(): void {
    for (const list of this.lists.values()) clearTimeout(list.timer);
    this.lists.clear();
  }

  private watch(list: WaitingList, ms: number): void {
    list.timer = setTimeout(() => this.look(list), Math.max(1, ms)).unref();
  }

  private look(list: WaitingList): void {
    const now = performance.now();
    for (let { first } = list; first !== undefined && first.endsAt <= now; { first } = list) {
      this.clear(first);
      first.missed();
    }
    list.timer = undefined;
    if (list.first === undefined) this.lists.delete(list.ms);
    else this.watch(list, Math.ceil(list.first.endsAt - now));
  }
}
