/** Leases that were announced and have no worker yet: tasks that are to be spread are kept for them. */

/** What has not come after this long is not waited for any more: an announcement is advice. Milliseconds. */
const COMING_MS = 10_000;
/** Most grants that are remembered because they overtook their announcement. */
const MAX_EARLY = 1_024;

export class Announced {
  private readonly waits = new Map<string, NodeJS.Timeout>();
  private readonly early = new Set<string>();

  /** @param onFewer called when an announced lease will not come, or takes too long */
  constructor(private readonly onFewer: () => void) {}

  get size(): number {
    return this.waits.size;
  }

  /** Another node's grant travels another way than its announcement, and may have been faster. */
  add(id: string): void {
    if (this.early.delete(id) || this.waits.has(id)) return;
    const timer = setTimeout(() => this.withdraw(id), COMING_MS).unref();
    this.waits.set(id, timer);
  }

  /** It is not granted after all. */
  withdraw(id: string): void {
    if (this.forget(id)) this.onFewer();
  }

  /** It is there. */
  granted(id: string): void {
    if (this.forget(id)) return;
    if (this.early.size >= MAX_EARLY) this.early.clear();
    this.early.add(id);
  }

  /** Nobody stands by what was announced any more. */
  clear(): void {
    for (const timer of this.waits.values()) clearTimeout(timer);
    this.waits.clear();
  }

  private forget(id: string): boolean {
    clearTimeout(this.waits.get(id));
    return this.waits.delete(id);
  }
}
