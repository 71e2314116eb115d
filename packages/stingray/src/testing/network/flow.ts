/** One direction of one connection through a gate: holds bytes back as the gate's rules say, and keeps their order. */
import type { Socket } from "node:net";
import type { GateRules } from "./gate-rules.js";

/** What is held back beyond it stays with the sender. Bytes. */
const HELD_BYTES = 4 << 20;

export class Flow {
  private readonly held: { bytes: Buffer; due: number }[] = [];
  private heldBytes = 0;
  /** When the line is free again, at the speed that it has. */
  private free = 0;
  private timer: NodeJS.Timeout | undefined;
  private blocked = false;
  private over = false;

  constructor(
    private readonly from: Socket,
    private readonly to: Socket,
    private readonly rules: () => GateRules,
  ) {
    from.on("data", (bytes) => this.take(bytes));
    from.once("close", () => {
      this.over = true;
      this.move();
    });
    from.on("error", () => undefined); // "close" follows
    to.on("drain", () => {
      this.blocked = false;
      this.move();
    });
  }

  /** Passes on what is due by the rules of now. */
  move(): void {
    clearTimeout(this.timer);
    const rules = this.rules();
    if (rules.cut === "silent") return;
    const now = performance.now();
    while (!this.blocked) {
      const [next] = this.held;
      if (next === undefined) break;
      if (next.due > now) {
        this.timer = setTimeout(() => this.move(), Math.ceil(next.due - now));
        return;
      }
      this.held.shift();
      this.heldBytes -= next.bytes.length;
      this.blocked = !this.to.destroyed && !this.to.write(next.bytes);
    }
    if (this.heldBytes < HELD_BYTES) this.from.resume();
    if (this.over && this.held.length === 0) this.to.destroySoon();
  }

  /** Drops what it holds. */
  end(): void {
    clearTimeout(this.timer);
    this.held.length = 0;
    this.heldBytes = 0;
  }

  private take(bytes: Buffer): void {
    const { latencyMs, bytesPerSecond } = this.rules();
    const now = performance.now();
    this.free = Math.max(this.free, now) + (bytes.length / bytesPerSecond) * 1000;
    this.held.push({ bytes, due: this.free + latencyMs });
    this.heldBytes += bytes.length;
    if (this.heldBytes >= HELD_BYTES) this.from.pause();
    this.move();
  }
}
