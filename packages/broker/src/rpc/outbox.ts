/**
 * The sending half of a channel: encodes messages into the frame that is being built, cuts frames, and keeps them
 * until they are acknowledged. Knows nothing of links and time.
 */
import { InvalidArgumentError } from "@stingray/protocol";
import { Writer } from "./cbor-write.js";
import { Kind, LENGTH_BYTES, setNumber, type Frame } from "./frame.js";

/** Length of the dead head of the queue at which it is cut off. */
const COMPACT_AT = 256;

export class Outbox {
  /** Number of the last frame that was cut. */
  seq = 0;
  /** Number of the last frame that the peer is known to have. */
  acked = 0;
  /** Bytes handed to a link and not acknowledged. */
  inFlight = 0;
  /** Bytes cut and not handed to a link since the last rewind. */
  private cut = 0;
  private frames: Frame[] = [];
  /** `frames[head]` is the oldest unacknowledged one, `frames[next]` the first to be handed to a link. */
  private head = 0;
  private next = 0;
  private readonly writer = new Writer(0);
  /** First byte of the frame that is being built, or -1. */
  private building = -1;
  private messages = 0;

  /**
   * @param frameBytes where frames are cut
   * @param messageBytes largest message
   * @param header of the data frames; only its kind, number and acknowledgement change
   */
  constructor(
    private readonly frameBytes: number,
    private readonly messageBytes: number,
    private header: Buffer,
  ) {}

  /** Frames begun from now on carry this header. */
  useHeader(header: Buffer): void {
    this.header = header;
  }

  /**
   * Encodes a message into the frame that is being built.
   * @throws SerializationError, InvalidArgumentError (too large); nothing is queued then
   */
  push(message: readonly unknown[]): void {
    const { writer } = this;
    if (this.building < 0) this.begin();
    const offset = writer.at - this.building;
    try {
      writer.value(message);
      const size = writer.at - writer.start - LENGTH_BYTES - offset;
      if (size > this.messageBytes) tooLarge(size, this.messageBytes);
    } catch (error) {
      this.building = this.messages === 0 ? -1 : writer.start + LENGTH_BYTES;
      writer.at = this.messages === 0 ? writer.start : this.building + offset;
      throw error;
    }
    this.building = writer.start + LENGTH_BYTES; // the buffer may have been replaced
    this.messages++;
    if (writer.at - this.building > this.frameBytes) this.split(this.building + offset);
  }

  private begin(): void {
    const { writer } = this;
    writer.start = writer.at;
    writer.ensure(LENGTH_BYTES + this.header.length + 256);
    this.building = writer.at + LENGTH_BYTES;
    writer.buffer.set(this.header, this.building);
    writer.at = this.building + this.header.length;
    this.messages = 0;
  }

  /** The frame is full with the message that starts at `last`: that one begins the next frame, unless it is alone. */
  private split(last: number): void {
    const { writer } = this;
    if (this.messages === 1) return this.seal(writer.at);
    this.messages--;
    this.seal(last);
    const size = writer.at - last;
    const shift = LENGTH_BYTES + this.header.length;
    writer.start = last;
    writer.ensure(shift);
    const { buffer, start } = writer;
    buffer.copyWithin(start + shift, start, start + size);
    buffer.set(this.header, start + LENGTH_BYTES);
    writer.at = start + shift + size;
    this.building = start + LENGTH_BYTES;
    this.messages = 1;
    if (writer.at - this.building > this.frameBytes) this.seal(writer.at);
  }

  private seal(end: number): void {
    const { writer, building: start } = this;
    const { buffer } = writer;
    setNumber(buffer, start, Kind.Data, ++this.seq);
    this.frames.push({ seq: this.seq, buffer, start, end, messages: this.messages, sent: false });
    this.cut += end - start;
    this.building = -1;
    this.messages = 0;
  }

  /** The next frame for a link, cut now if need be; undefined where there is none or `window` bytes are in flight. */
  take(window: number): Frame | undefined {
    if (this.inFlight >= window) return undefined;
    if (this.next === this.frames.length) {
      if (this.building < 0) return undefined;
      this.seal(this.writer.at);
    }
    const frame = this.frames[this.next++]!;
    const size = frame.end - frame.start;
    this.inFlight += size;
    this.cut -= size;
    return frame;
  }

  /** True where something waits to be taken. */
  get waiting(): boolean {
    return this.building >= 0 || this.next < this.frames.length;
  }
  /** True where something is not acknowledged, sent or not. */
  get unfinished(): boolean {
    return this.building >= 0 || this.head < this.frames.length;
  }
  /** Bytes not yet handed to a link. */
  get backlog(): number {
    return this.cut + (this.building < 0 ? 0 : this.writer.at - this.building);
  }
  /** Number of the last frame that a link has got, now or before. */
  get sent(): number {
    const last = this.frames[this.next - 1];
    return last === undefined || last === GONE ? this.acked : last.seq;
  }

  /** The peer has everything up to `seq`. False where that can't be: no such frame was sent. */
  acknowledge(seq: number): boolean {
    if (seq <= this.acked) return true;
    if (seq > this.seq) return false;
    const { frames } = this;
    for (let frame = frames[this.head]; frame !== undefined && frame.seq <= seq; frame = frames[this.head]) {
      const size = frame.end - frame.start;
      if (this.head < this.next) this.inFlight -= size;
      else {
        this.cut -= size; // sent, rewound, and then acknowledged
        this.next++;
      }
      frames[this.head++] = GONE;
    }
    this.acked = seq;
    if (this.head === frames.length) {
      frames.length = 0;
      this.head = this.next = 0;
    } else if (this.head > COMPACT_AT && this.head * 2 > frames.length) {
      frames.splice(0, this.head);
      this.next -= this.head;
      this.head = 0;
    }
    return true;
  }

  /** What is not acknowledged is to be handed out again, from the start. */
  rewind(): void {
    this.cut += this.inFlight;
    this.inFlight = 0;
    this.next = this.head;
  }

  /** Gives the buffer back if nothing is in it: an idle channel holds none. */
  rest(): void {
    if (!this.unfinished) this.writer.release();
  }

  /** Forgets everything. */
  clear(): void {
    this.frames = [];
    this.head = this.next = this.inFlight = this.cut = this.messages = 0;
    this.building = -1;
    this.writer.release();
  }
}

/** Stands in the queue for frames that were dropped, so that their buffers can go. */
const GONE: Frame = { seq: 0, buffer: Buffer.alloc(0), start: 0, end: 0, messages: 0, sent: false };

function tooLarge(size: number, most: number): never {
  throw new InvalidArgumentError(
    `a message of ${size} bytes can't be sent: the limit is ${most} bytes (limits.messageBytes); ` +
      `put large data into the object store and send a reference`,
  );
}
