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
   * @param lookMs how often {@link look} is called; much later means that this process stood still
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
  /** The connection was away: what was not heard proves nothing. */
  distrust(): void {
    this.trustedSince = this.now();
  }

  /** To be called every `lookMs` by every agent, so that whoever takes the role knows whether it stood still. */
  look(): void {
    const now = this.now();
    if (now - this.lastLook > this.lookMs + this.deadAfterMs / 4) this.trustedSince = now;
    this.lastLook = now;
  }
  /** A node that was never heard is given its time from the first question on: its row can come before it speaks. */
  isDead(node: NodeId): boolean {
    const heard = this.heard.get(node);
    if (heard === undefined) this.heartbeat(node);
    return heard !== undefined && this.now() - Math.max(heard, this.trustedSince) > this.deadAfterMs;
  }
}
