/** Creations that wait for room: first come, first served, and none of them for ever. */
import { toError } from "@stingray/protocol";

/** How often it is looked whether others have let go of something, which nobody tells. Milliseconds. */
const LOOK_MS = 25;
/**
 * What came free is worth waiting on for if it is so much of what the first in the queue lacked. So there are not many
 * times that it is: crumbs that fall now and then keep nobody waiting to the deadline.
 */
const WORTH = 1 / 10;

export interface Request<T> {
  /** Takes the room if there is enough, making some if that needs no waiting. */
  attempt(): Promise<T> | undefined;
  /** Bytes that it lacks now; not more than 0: none. */
  missing(): number;
  /** Nothing moves any more: another way to get room. undefined: there is none. */
  giveUp: (() => Promise<T>) | undefined;
  /** The error for one that has waited to the end. */
  full(): Error;
  concerns(what: { client: string } | { object: string; client: string }): boolean;
}

interface Waiting {
  readonly since: number;
  /** Bytes that it lacked when it became first in the queue, and when it was last helped. */
  lack: { readonly first: number; left: number } | undefined;
  attempt(): boolean;
  giveUp(): boolean;
  readonly request: Request<unknown>;
  fail(why: Error): void;
}

export interface QueueOptions {
  /** After so long without a movement that helps the first in the queue its `giveUp` is called. Milliseconds. */
  readonly waitMs: number;
  /** Nobody waits longer: then `giveUp` is called whatever moves, and without that it fails. Milliseconds. */
  readonly deadlineMs: number;
  /** Room is being made right now. */
  busy(): boolean;
}

export class RoomQueue {
  private waiting: Waiting[] = [];
  private movedAt = 0;
  private timer: NodeJS.Timeout | undefined;
  private soon = false;

  constructor(private readonly options: QueueOptions) {}

  get length(): number {
    return this.waiting.length;
  }

  /** @throws what `full` makes; what ended it with `end`; the signal's reason */
  add<T>(request: Request<T>, signal: AbortSignal | undefined): Promise<T> {
    if (signal?.aborted === true) return Promise.reject(toError(signal.reason));
    if (this.waiting.length === 0) {
      const done = request.attempt();
      if (done !== undefined) return done;
    }
    return new Promise<T>((resolve, reject) => {
      const aborted = (): void => this.remove(entry, toError(signal?.reason));
      const settle = (found: Promise<T> | undefined): boolean => {
        if (found === undefined) return false;
        signal?.removeEventListener("abort", aborted);
        resolve(found);
        return true;
      };
      const entry: Waiting = {
        since: Date.now(),
        lack: undefined,
        request,
        attempt: () => settle(request.attempt()),
        giveUp: () => settle(request.giveUp?.()),
        fail: (why) => {
          signal?.removeEventListener("abort", aborted);
          reject(why);
        },
      };
      signal?.addEventListener("abort", aborted, { once: true });
      this.waiting.push(entry);
      this.arm();
    });
  }

  /** There is more room than before. */
  moved(): void {
    this.serveSoon();
  }

  private serveSoon(): void {
    if (this.soon || this.waiting.length === 0) return;
    this.soon = true;
    queueMicrotask(() => {
      this.soon = false;
      this.serve();
    });
  }

  /** Those whose client is gone, or who do not want it any more, wait no longer. */
  end(what: { client: string } | { object: string; client: string }, why: () => Error): void {
    for (const entry of this.waiting.filter(({ request }) => request.concerns(what))) {
      this.remove(entry, why());
    }
  }

  endAll(why: () => Error): void {
    for (const entry of [...this.waiting]) this.remove(entry, why());
  }

  private remove(entry: Waiting, why: Error | undefined): void {
    const at = this.waiting.indexOf(entry);
    if (at < 0) return;
    this.waiting.splice(at, 1);
    if (why !== undefined) entry.fail(why);
    if (at === 0) this.serveSoon(); // the next one may fit
  }

  private serve(): void {
    for (let head = this.waiting[0]; head !== undefined; head = this.waiting[0]) {
      if (!this.attempt(head)) return;
      if (this.waiting[0] === head) this.waiting.shift();
    }
  }

  private attempt(entry: Waiting): boolean {
    try {
      if (entry.attempt()) {
        this.movedAt = Date.now();
        return true;
      }
      this.measure(entry);
      return this.isStuck(entry) && entry.giveUp();
    } catch (thrown) {
      entry.fail(toError(thrown));
      return true;
    }
  }

  /** Whether it has been helped since the last time. */
  private measure(entry: Waiting): void {
    const left = entry.request.missing();
    entry.lack ??= { first: left, left };
    const { lack } = entry;
    if (left >= lack.left || lack.left - left < lack.first * WORTH) return;
    lack.left = left;
    this.movedAt = Date.now();
  }

  private isStuck({ since }: Waiting): boolean {
    const { options } = this;
    return !options.busy() && Date.now() - Math.max(since, this.movedAt) >= options.waitMs;
  }

  /** It has waited to the end. undefined: there is another way for it. */
  private late(entry: Waiting): Error | undefined {
    try {
      return entry.giveUp() ? undefined : entry.request.full();
    } catch (thrown) {
      return toError(thrown);
    }
  }

  private arm(): void {
    this.timer ??= setInterval(() => {
      this.serve();
      const late = Date.now() - this.options.deadlineMs;
      for (const entry of this.waiting.filter(({ since }) => since <= late)) {
        this.remove(entry, this.late(entry));
      }
      if (this.waiting.length > 0) return;
      clearInterval(this.timer);
      this.timer = undefined;
    }, LOOK_MS);
  }
}
