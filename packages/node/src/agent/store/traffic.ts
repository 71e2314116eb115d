/** What went over the network of objects, beside what the store knows of itself. */
import type { StoreGauge } from "../node-state.js";

export class Traffic {
  private sentBytes = 0;
  private receivedBytes = 0;

  sent(bytes: number): void {
    this.sentBytes += bytes;
  }
  received(bytes: number): void {
    this.receivedBytes += bytes;
  }

  /** The figures of a store with those of the network, each time anew. */
  gauge(store: StoreGauge): StoreGauge {
    return {
      used: store.used,
      capacity: store.capacity,
      figures: () => ({ ...store.figures(), sentTotal: this.sentBytes, receivedTotal: this.receivedBytes }),
    };
  }
}
