/** Frames from this process to itself: between its own endpoints. Delivered in a later turn, as from anywhere else. */
import type { Frame } from "./frame.js";
import type { LinkStats } from "./limits.js";
import type { Link } from "./parts.js";

export class Loopback implements Link {
  readonly kind = "socket";
  readonly writable = true;
  private queue: Frame[] = [];

  constructor(
    readonly stats: LinkStats,
    private readonly deliver: (frame: Frame, link: Loopback) => void,
  ) {}

  send(frame: Frame): void {
    this.queue.push(frame);
    if (this.queue.length === 1) setImmediate(this.turn);
  }

  flush(): void {}
  resume(): void {}

  private readonly turn = (): void => {
    const { queue } = this;
    this.queue = [];
    for (const frame of queue) this.deliver(frame, this);
  };
}
