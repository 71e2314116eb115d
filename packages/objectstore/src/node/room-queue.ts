/** Creations that wait for room: first come, first served, and none of them for ever. */
import { toError } from "@stingray/protocol";

/** How often it is looked whether others have let go of something, which nobody tells. Milliseconds. */
const LOOK_MS = 25;

export interface Request<T> {
  /** Takes the room if there is enough, making some if that needs no waiting. */
  attempt(): Promise<T> | undefined;
  /** Nothing moves any more: another way to get room. undefined: there is none. */
  giveUp: (() => Promise<T>) | undefined;
  /** The error for one that has waited to the end. */
  full(): Error;
  concerns(what: { client: string } | { object: string; client: string }): boolean;
}

interface Waiting {
  readonly since: number;
  attempt(): boolean;
  giveUp(): boolean;
  readonly request: Request<unknown>;
  fail(why: Error): void;
}

export interface QueueOptions {
  /** After so long without any movement `giveUp` is called. Milliseconds. */
  readonly waitMs: number;
  /** Nobody waits longer. Milliseconds. */
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
    this.movedAt = Date.now();
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

  private remove(entry: Waiting, why: Error): void {
    const at = this.waiting.indexOf(entry);
    if (at < 0) return;
    this.waiting.splice(at, 1);
    entry.fail(why);
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
      return entry.attempt() || (this.isStuck(entry) && entry.giveUp());
    } catch (thrown) {
      entry.fail(toError(thrown));
      return true;
    }
  }

  private isStuck({ since }: Waiting): boolean {
    const { options } = this;
    return !options.busy() && Date.now() - Math.max(since, this.movedAt) >= options.waitMs;
  }

  private arm(): void {
    this.timer ??= setInterval(() => {
      this.serve();
      const late = Date.now() - this.options.deadlineMs;
      for (const entry of this.waiting.filter(({ since }) => since <= late)) {
        this.remove(entry, entry.request.full());
      }
      if (this.waiting.length > 0) return;
      clearInterval(this.timer);
      this.timer = undefined;
    }, LOOK_MS);
  }
}
