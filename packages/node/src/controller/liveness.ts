/**
 * Which nodes live. Every agent keeps count of heartbeats; whoever holds the controller role judges by it, and
 * distrusts itself first: after its own connection was away, or its own process stood still, every node gets a full
 * period to be heard again.
 */
import type { NodeId } from "@stingray/protocol";

export class Liveness {
  private readonly heard = new Map<NodeId, number>();
  /** Nobody is judged by silence before this moment. */
  private trustedSince: number;
  private lastLook: number;

  /**
   * @param deadAfterMs silence after which a node counts as dead
   * @param lookMs how often {@link silent} is asked; being asked much later means that this process stood still
   */
  constructor(
    private readonly deadAfterMs: number,
    private readonly lookMs: number,
    private readonly now: () => number = () => performance.now(),
  ) {
    this.trustedSince = this.lastLook = now();
  }

  heartbeat(node: NodeId): void {
    this.heard.set(node, this.now());
  }
  /** Milliseconds since the node was heard; undefined if it never was. */
  silence(node: NodeId): number | undefined {
    const at = this.heard.get(node);
    return at === undefined ? undefined : this.now() - at;
  }
  forget(node: NodeId): void {
    this.heard.delete(node);
  }
  /** The connection was away, or the role is new: what was not heard proves nothing. */
  distrust(): void {
    this.trustedSince = this.now();
  }

  /** To be called every `lookMs`, before {@link isDead}. */
  look(): void {
    const now = this.now();
    if (now - this.lastLook > this.lookMs + this.deadAfterMs / 4) this.trustedSince = now;
    this.lastLook = now;
  }
  isDead(node: NodeId): boolean {
    const since = Math.max(this.heard.get(node) ?? 0, this.trustedSince);
    return this.now() - since > this.deadAfterMs;
  }
}
