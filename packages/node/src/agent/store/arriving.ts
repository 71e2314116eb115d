/** An object that arrives at this node: where its bytes go, and what of it can be served to others meanwhile. */
import type { Arrival, ChunkMap, Incoming, Outgoing } from "@stingray/objectstore";

export class Arriving implements Incoming {
  readonly size: number;
  /** By offset: the memory where bytes were, or are being, put. It stays readable after the object is complete. */
  private readonly windows = new Map<number, Uint8Array>();

  constructor(private readonly arrival: Arrival) {
    this.size = arrival.size;
  }

  window(offset: number, length: number): Uint8Array {
    // Where files can't be mapped, the bytes wait in memory of our own until they are known to be right.
    const window = this.arrival.mapped ? this.arrival.window(offset, length) : new Uint8Array(length);
    this.windows.set(offset, window);
    return window;
  }

  arrived(offset: number, length: number): void {
    if (this.arrival.mapped) return;
    const window = this.windows.get(offset);
    if (window !== undefined) this.arrival.write(offset, window.subarray(0, length));
  }

  /** What is here of it, for others. */
  outgoing(chunks: ChunkMap): Outgoing {
    return {
      size: this.size,
      chunks,
      read: (offset, length) => {
        const window = this.windows.get(offset);
        return window !== undefined && window.length >= length ? window.subarray(0, length) : undefined;
      },
      close: () => undefined,
    };
  }
}
