/** Cuts the bytes of a socket into frames: four bytes of length, little endian, then the frame. */
import { ProtocolError } from "@stingray/protocol";
import { LENGTH_BYTES } from "./frame.js";

export class Deframer {
  private readonly length = Buffer.alloc(LENGTH_BYTES);
  private lengthFilled = 0;
  private frame: Buffer | undefined;
  private filled = 0;

  /**
   * @param most largest frame that is accepted; may be changed between chunks
   * @param take gets each frame as a range of a buffer that is not written any more
   */
  constructor(
    public most: number,
    public take: (buffer: Buffer, start: number, end: number) => void,
  ) {}

  /** @throws ProtocolError where a frame is too large; what `take` throws */
  feed(chunk: Buffer): void {
    let at = 0;
    const end = chunk.length;
    while (at < end) {
      if (this.frame !== undefined) {
        at = this.fill(this.frame, chunk, at);
        continue;
      }
      let size: number;
      if (this.lengthFilled === 0 && end - at >= LENGTH_BYTES) {
        size = chunk.readUInt32LE(at);
        at += LENGTH_BYTES;
      } else {
        while (this.lengthFilled < LENGTH_BYTES && at < end) this.length[this.lengthFilled++] = chunk[at++]!;
        if (this.lengthFilled < LENGTH_BYTES) return;
        this.lengthFilled = 0;
        size = this.length.readUInt32LE(0);
      }
      if (size > this.most || size === 0)
        throw new ProtocolError(`malformed frame on a socket: ${size} bytes, 1 to ${this.most} are accepted`);
      if (end - at >= size) {
        this.take(chunk, at, at + size);
        at += size;
      } else {
        this.frame = Buffer.allocUnsafeSlow(size);
        this.filled = 0;
      }
    }
  }

  private fill(frame: Buffer, chunk: Buffer, at: number): number {
    const size = Math.min(frame.length - this.filled, chunk.length - at);
    chunk.copy(frame, this.filled, at, at + size);
    this.filled += size;
    if (this.filled === frame.length) {
      this.frame = undefined;
      this.take(frame, 0, frame.length);
    }
    return at + size;
  }
}
