/** Calls that wait inside an actor until it has what they ask for: first come, first served. */
import type { Caller, CurrentCall } from "@stingray/actor/internal";
import { timerMs } from "@stingray/protocol";

/**
 * How a wait ended without what it was for: out of time, closed by somebody, or given up by its caller (cancelled,
 * dropped, or the caller is gone).
 */
export type Unserved = "timeout" | "closed" | "dropped";

/** One that waits. */
export interface Waiter<T, R> {
  readonly caller: Caller;
  /** The caller's own number for the call. */
  readonly id: number;
  /** What it came with. */
  readonly has: T;
  /** Gives it what it waits for. */
  serve(result: R): void;
}

interface Entry<T, R> extends Waiter<T, R> {
  end(result: { served: R } | Unserved): void;
}

export class WaitingCalls<T, R> {
  private readonly entries = new Set<Entry<T, R>>();

  get size(): number {
    return this.entries.size;
  }

  /**
   * Resolves when it is served or given up.
   * @param timeoutMs -1 for no limit; with 0 it does not wait
   */
  wait(
    { caller, signal }: CurrentCall,
    id: number,
    has: T,
    timeoutMs: number,
  ): Promise<{ served: R } | Unserved> {
    if (signal.aborted || caller.closed !== undefined) return Promise.resolve("dropped");
    if (timeoutMs === 0) return Promise.resolve("timeout");
    return new Promise((resolve) => {
      let timer: NodeJS.Timeout | undefined;
      const onAbort = (): void => entry.end("dropped");
      const entry: Entry<T, R> = {
        caller,
        id,
        has,
        serve: (served) => entry.end({ served }),
        end: (result) => {
          clearTimeout(timer);
          signal.removeEventListener("abort", onAbort);
          this.entries.delete(entry);
          resolve(result);
        },
      };
      this.entries.add(entry);
      signal.addEventListener("abort", onAbort);
      if (timeoutMs > 0) timer = setTimeout(() => entry.end("timeout"), timerMs(timeoutMs));
    });
  }

  /** The one that has waited longest, left where it is. */
  peek(): Waiter<T, R> | undefined {
    for (const entry of this.entries) return entry;
    return undefined;
  }

  /** Ends a wait of a caller, if it has one of that number. */
  drop(caller: Caller, id: number): boolean {
    for (const entry of this.entries) {
      if (entry.caller !== caller || entry.id !== id) continue;
      entry.end("dropped");
      return true;
    }
    return false;
  }

  /** Serves all, in order. */
  serveAll(result: (index: number) => R): void {
    let index = 0;
    for (const entry of [...this.entries]) entry.serve(result(index++));
  }

  closeAll(): void {
    for (const entry of [...this.entries]) entry.end("closed");
  }
}
