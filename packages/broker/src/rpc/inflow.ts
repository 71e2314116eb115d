/**
 * The receiving half of a channel: puts frames back in order, drops what came before, and joins the parts of frames
 * that were too large for the broker. Bounded in what it holds. Knows nothing of links and time.
 */
import { ProtocolError } from "@stingray/protocol";

/** The messages of one frame: `buffer` from `start` to `end`. The buffer is not written any more. */
export interface Body {
  buffer: Buffer;
  start: number;
  end: number;
}

interface Assembly {
  seq: number;
  buffer: Buffer;
  filled: number;
}

export class Inflow {
  /** Number of the last frame that was delivered, with all before it. */
  seq = 0;
  private readonly held = new Map<number, Body>();
  private heldBytes = 0;
  private assembly: Assembly | undefined;

  /**
   * @param holdBytes how much of what came too early is kept; the rest is dropped and has to be sent again
   * @param frameBytes largest frame that is put together from parts
   */
  constructor(
    private readonly holdBytes: number,
    private readonly frameBytes: number,
  ) {}

  /**
   * `next`: deliver it now, then ask `following()`; `seq` has grown. `seen`: it was here before. `early`: others are
   * missing before it; it is held, or dropped where the room is full.
   */
  accept(seq: number, body: Body): "next" | "seen" | "early" {
    if (seq === this.seq + 1) {
      this.seq = seq;
      return "next";
    }
    if (seq <= this.seq) return "seen";
    if (this.held.has(seq)) return "seen";
    const size = body.end - body.start;
    if (this.heldBytes + size <= this.holdBytes) {
      this.held.set(seq, compact(body));
      this.heldBytes += size;
    }
    return "early";
  }

  /** The held frame whose turn it is, if it is here. */
  following(): Body | undefined {
    if (this.held.size === 0) return undefined;
    const body = this.held.get(this.seq + 1);
    if (body === undefined) return undefined;
    this.held.delete(this.seq + 1);
    this.heldBytes -= body.end - body.start;
    this.seq++;
    return body;
  }

  /** True where later frames wait for a missing one, or a frame is half here. */
  get incomplete(): boolean {
    return this.held.size > 0 || this.assembly !== undefined;
  }

  /**
   * A part of frame `seq`. Returns the frame when it is whole. Parts come in order; where one is missing, the rest is
   * dropped, and the frame has to be sent again.
   * @throws ProtocolError where the sizes are beyond the bounds
   */
  part(seq: number, offset: number, total: number, bytes: Uint8Array): Body | undefined {
    if (total > this.frameBytes || offset + bytes.length > total)
      throw new ProtocolError(
        `malformed frame: part of ${bytes.length} bytes at ${offset} of ${total}, at most ${this.frameBytes} are accepted`,
      );
    if (seq <= this.seq) return undefined;
    if (offset === 0) this.assembly = { seq, buffer: Buffer.allocUnsafeSlow(total), filled: 0 };
    const { assembly } = this;
    if (assembly === undefined || assembly.seq !== seq || assembly.filled !== offset) return undefined;
    if (assembly.buffer.length !== total) return undefined;
    assembly.buffer.set(bytes, offset);
    assembly.filled += bytes.length;
    if (assembly.filled < total) return undefined;
    this.assembly = undefined;
    return { buffer: assembly.buffer, start: 0, end: total };
  }
}

/** A body that keeps at most twice its own size alive. */
function compact(body: Body): Body {
  const size = body.end - body.start;
  if (size * 2 >= body.buffer.buffer.byteLength) return body;
  const buffer = Buffer.allocUnsafeSlow(size);
  body.buffer.copy(buffer, 0, body.start, body.end);
  return { buffer, start: 0, end: size };
}
