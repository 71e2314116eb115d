/** When it is worth planning again for a group that found no place. */
import type { Bid, ClusterView, ViewChange } from "@stingray/scheduler";
import type { NodeId } from "@stingray/protocol";

/** What the last try went by. */
export interface Tried {
  readonly bids: readonly Bid[];
  /** Resources that the group asks for. */
  readonly names: readonly string[];
  /** Nodes that refused, and may not the next time. */
  readonly refused: ReadonlyMap<NodeId, number>;
  /** This node's bid as of now, which is looked at whenever another one is heard. */
  readonly own: () => Bid;
}

/** Collects what is heard from its creation on, so that nothing is missed while the try itself is awaited. */
export class GroupPause {
  private readonly before = new Map<NodeId, Bid>();
  private heard = false;
  private wake: () => void = () => undefined;
  private readonly stop: () => void;

  constructor(
    private readonly view: ClusterView,
    private readonly tried: Tried,
  ) {
    for (const bid of tried.bids) this.before.set(bid.node, bid);
    this.stop = view.onChange((change) => {
      if (this.heard || !this.matters(change)) return;
      this.heard = true;
      this.wake();
    });
  }

  /**
   * Resolves after `leastMs`, and then as soon as another outcome is possible by what was heard, after `mostMs`, or when
   * it is aborted. To be called once; `close` in any case.
   */
  async over(leastMs: number, mostMs: number, signal: AbortSignal): Promise<void> {
    const began = performance.now();
    await this.sleep(leastMs, signal, false);
    if (!this.heard) await this.sleep(mostMs - (performance.now() - began), signal, true);
  }

  /** Nothing is listened to any more. */
  close(): void {
    this.stop();
  }

  /** Less on a node changes nothing for the better. */
  private matters({ kind, node }: ViewChange): boolean {
    if (kind !== "bid") return true;
    const { refused, own } = this.tried;
    const before = this.before.get(node);
    const now = this.view.get(node);
    if (before === undefined || now === undefined) return true;
    if ((refused.get(node) ?? -Infinity) >= before.sequence) return true;
    return this.hasGrown(now) || this.hasGrown(own());
  }

  private hasGrown(now: Bid): boolean {
    const before = this.before.get(now.node);
    if (before === undefined || before.draining) return !now.draining;
    return this.tried.names.some((name) => (now.available[name] ?? 0) > (before.available[name] ?? 0));
  }

  private sleep(ms: number, signal: AbortSignal, wakeable: boolean): Promise<void> {
    if (ms <= 0 || signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        signal.removeEventListener("abort", done);
        this.wake = () => undefined;
        resolve();
      };
      const timer = setTimeout(done, ms).unref();
      signal.addEventListener("abort", done, { once: true });
      if (wakeable) this.wake = done;
    });
  }
}
