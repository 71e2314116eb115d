/** Frames over a Unix socket to one process of our node, after both sides have proven themselves. */
import type { Socket } from "node:net";
import { toError, type ProcessId } from "@stingray/protocol";
import type { Awake } from "./awake.js";
import type { Stream } from "./stream.js";
import type { Deframer } from "./deframer.js";
import { LENGTH_BYTES, type Frame } from "./frame.js";
import type { LinkStats } from "./limits.js";
import type { Link } from "./parts.js";

/** With so many bytes waiting in memory for the socket, channels keep the rest to themselves. */
const FULL_BYTES = 1024 * 1024;
/** Up to this size one write of a copy is cheaper than a write of many buffers. */
const JOINED_BYTES = 64 * 1024;

export interface SocketEvents {
  frame(link: SocketLink, buffer: Buffer, start: number, end: number): void;
  /** The link is over, for whatever reason but `close()`. */
  lost(link: SocketLink): void;
  /** The peer sent what is no frame; the link ends with it. */
  garbage(link: SocketLink, error: Error): void;
}

export class SocketLink implements Link {
  readonly kind = "socket";
  private queue: Uint8Array[] = [];
  private queuedBytes = 0;
  private readonly blocked = new Set<Stream>();
  private over = false;

  /** Takes over a socket whose peer is proven to be `process`. */
  constructor(
    readonly process: ProcessId,
    private readonly socket: Socket,
    deframer: Deframer,
    most: number,
    readonly stats: LinkStats,
    private readonly awake: Awake,
    private readonly events: SocketEvents,
  ) {
    deframer.most = most;
    deframer.take = (buffer, start, end) => {
      if (this.over) return;
      stats.framesIn++;
      stats.bytesIn += end - start;
      events.frame(this, buffer, start, end);
    };
    socket.on("data", (chunk: Buffer) => {
      awake.touch();
      try {
        deframer.feed(chunk);
      } catch (error) {
        events.garbage(this, toError(error));
        socket.destroy();
      }
    });
    socket.on("drain", () => this.release());
    socket.on("close", () => this.ended());
  }

  get writable(): boolean {
    return this.queuedBytes + this.socket.writableLength < FULL_BYTES;
  }

  send(frame: Frame): void {
    if (this.over) return; // the frame stays with its channel
    const { buffer, start, end } = frame;
    buffer.writeUInt32LE(end - start, start - LENGTH_BYTES);
    this.queue.push(buffer.subarray(start - LENGTH_BYTES, end));
    this.queuedBytes += end - start;
    this.stats.framesOut++;
    this.stats.messagesOut += frame.messages;
    this.stats.bytesOut += end - start;
  }

  flush(): void {
    const { queue, socket, queuedBytes } = this;
    if (queue.length === 0) return;
    this.queue = [];
    this.queuedBytes = 0;
    if (this.over) return;
    this.awake.sent();
    if (queue.length === 1) socket.write(queue[0]!);
    else if (queuedBytes <= JOINED_BYTES) socket.write(Buffer.concat(queue));
    else {
      socket.cork();
      for (const chunk of queue) socket.write(chunk);
      socket.uncork();
    }
    if (this.blocked.size > 0 && this.writable) this.release();
  }

  resume(stream: Stream): void {
    this.blocked.add(stream);
  }

  /** Ends the link after what is queued, without a `lost`. */
  close(): void {
    if (this.over) return;
    this.flush();
    this.over = true;
    this.socket.destroySoon();
  }

  /** Breaks the link as a fault would. */
  break(): void {
    this.socket.destroy();
  }

  private release(): void {
    const streams = [...this.blocked];
    this.blocked.clear();
    for (const stream of streams) stream.wake();
  }

  private ended(): void {
    if (this.over) return;
    this.over = true;
    this.events.lost(this);
  }
}
