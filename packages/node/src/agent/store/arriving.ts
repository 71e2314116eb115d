/** An object that arrives at this node: where its bytes go, and what of it can be served to others meanwhile. */
import type { Arrival, ChunkMap, Incoming, Outgoing } from "@stingray/objectstore";

export class Arriving implements Incoming {
  readonly size: number;
  /** By offset: the memory where bytes were, or are being, put. */
  private readonly windows = new Map<number, Uint8Array>();
  /** Windows are the file itself. */
  private readonly inPlace: boolean;

  constructor(private readonly arrival: Arrival) {
    this.size = arrival.size;
    this.inPlace = arrival.mapped;
  }

  window(offset: number, length: number): Uint8Array {
    // Where files can't be mapped, the bytes wait in memory of our own until they are known to be right.
    const window = this.inPlace ? this.arrival.window(offset, length) : new Uint8Array(length);
    this.windows.set(offset, window);
    return window;
  }

  arrived(offset: number, length: number): void {
    if (this.inPlace) return this.arrival.arrived(offset, length);
    const window = this.windows.get(offset);
    if (window !== undefined) this.arrival.write(offset, window.subarray(0, length));
  }

  tagged(tag: string): void {
    this.arrival.tagged(tag);
  }

  whenEnded(listener: () => void): void {
    this.arrival.whenEnded(listener);
  }

  /** What is here of it, for others, who may go on reading after the end. undefined: it has ended. */
  outgoing(chunks: ChunkMap): Outgoing | undefined {
    // After the end the file would be used for others, or cut: so it is kept from that.
    if (this.inPlace && !this.arrival.retain()) return undefined;
    return {
      size: this.size,
      chunks,
      read: (offset, length) => {
        const window = this.windows.get(offset);
        return window !== undefined && window.length >= length ? window.subarray(0, length) : undefined;
      },
      close: () => {
        if (this.inPlace) this.arrival.release();
      },
    };
  }
}
