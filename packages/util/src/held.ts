/** What an actor has given to its callers and gets back when they say so, or when their process is gone. */
import type { Caller } from "@stingray/actor/internal";

export class Held<T> {
  private readonly callers = new Map<Caller, Map<number, T>>();

  /** Whether any caller has something. */
  get any(): boolean {
    for (const items of this.callers.values()) if (items.size > 0) return true;
    return false;
  }

  /** @param gaveBack called for each that a caller leaves behind, in the order in which they were given */
  constructor(private readonly gaveBack: (item: T) => void) {}

  /** False where the caller is gone: then nothing is given. */
  give(caller: Caller, id: number, item: T): boolean {
    if (caller.closed !== undefined) return false;
    let items = this.callers.get(caller);
    if (items === undefined) {
      this.callers.set(caller, (items = new Map<number, T>()));
      caller.onClose(() => this.gone(caller));
    }
    items.set(id, item);
    return true;
  }

  /** Takes it from the caller; undefined if it has nothing of that number. */
  take(caller: Caller, id: number): T | undefined {
    const items = this.callers.get(caller);
    const item = items?.get(id);
    items?.delete(id);
    return item;
  }

  private gone(caller: Caller): void {
    const items = this.callers.get(caller);
    this.callers.delete(caller);
    for (const item of items?.values() ?? []) this.gaveBack(item);
  }
}
