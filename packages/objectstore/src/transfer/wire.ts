/** One TCP connection as frames, for either side. */
import { connect, type Socket } from "node:net";
import { ConnectionError, ProtocolError, toError } from "@stingray/protocol";
import { encodeHeader, Inflow, type FrameSink, type Kind } from "./frame.js";

/** After so many bytes the event loop gets its turn, however fast they come. */
const TURN_BYTES = 1 << 20;
/** Between two probes of a connection on which nothing happens: finds peers that are gone without a word. */
const KEEP_ALIVE_MS = 10_000;

export interface WireEvents extends FrameSink {
  /** The connection is over. Called once, never within a call of a method other than `destroy`. */
  closed(error: Error): void;
}

export class Wire {
  readonly #socket: Socket;
  readonly #inflow: Inflow;
  #events: WireEvents;
  #turn = 0;
  #error: Error | undefined;
  #over = false;
  #remote: string;
  /** When bytes last came. Milliseconds of `performance.now()`. */
  heardAt = performance.now();
  /** When bytes last went to the kernel, or there were none to go. */
  drainedAt = performance.now();
  /** Bytes of chunks that are not with the kernel yet. */
  queued = 0;

  private constructor(
    open: (inflow: Inflow, took: (bytes: number) => boolean) => Socket,
    events: WireEvents,
    remote: string,
  ) {
    this.#events = events;
    this.#remote = remote;
    this.#inflow = new Inflow({
      room: (frame) => this.#events.room(frame),
      take: (frame, body) => this.#events.take(frame, body),
    });
    this.#socket = open(this.#inflow, (bytes) => this.#took(bytes));
    this.#socket.setNoDelay(true);
    this.#socket.setKeepAlive(true, KEEP_ALIVE_MS);
    this.#socket.on("error", (error) => (this.#error ??= error));
    this.#socket.on("close", () => this.#closed());
  }

  /** Bytes are received straight into the room that `events` gives. `connected` is called when it stands. */
  static dial(host: string, port: number, events: WireEvents, connected: () => void): Wire {
    return new Wire(
      (inflow, took) => {
        const onread = { buffer: () => inflow.target(), callback: (bytes: number) => took(bytes) };
        return connect({ host, port, onread }, connected);
      },
      events,
      `${host}:${port}`,
    );
  }

  /** A connection that a server has accepted. */
  static accepted(socket: Socket, events: WireEvents): Wire {
    const wire = new Wire(() => socket, events, `${socket.remoteAddress ?? "?"}:${socket.remotePort ?? 0}`);
    socket.on("data", (chunk) => {
      wire.heardAt = performance.now();
      wire.#guard(() => wire.#inflow.feed(chunk));
    });
    return wire;
  }

  /** From now on frames go to another. */
  handOver(events: WireEvents): void {
    this.#events = events;
  }

  get over(): boolean {
    return this.#over;
  }
  /** The channel whose chunk is arriving at this moment. */
  get receiving(): number | undefined {
    return this.#inflow.current?.channel;
  }
  /** A frame has begun to come and is not complete. */
  get midFrame(): boolean {
    return !this.#inflow.idle;
  }
  /** Of the peer, as far as known. Kept beyond the end of the connection. */
  get remote(): string {
    const { remoteAddress, remotePort } = this.#socket;
    if (remoteAddress !== undefined) this.#remote = `${remoteAddress}:${remotePort ?? 0}`;
    return this.#remote;
  }

  send(kind: Kind, channel = 0, index = 0, flags = 0, body?: Uint8Array): void {
    if (this.#over) return;
    const header = encodeHeader(kind, channel, index, body?.length ?? 0, flags);
    this.#socket.write(body === undefined ? header : Buffer.concat([header, body]));
  }

  say(kind: Kind, channel: number, body: object): void {
    this.send(kind, channel, 0, 0, Buffer.from(JSON.stringify(body)));
  }

  /** Sends a chunk without a copy of it. `done`: the kernel has it, or the connection is over. */
  sendChunk(
    kind: Kind,
    channel: number,
    index: number,
    bytes: Uint8Array,
    sum: Uint8Array,
    done: (sent: boolean) => void,
  ): void {
    if (this.queued === 0) this.drainedAt = performance.now();
    this.queued += bytes.length;
    this.#socket.cork();
    this.#socket.write(encodeHeader(kind, channel, index, bytes.length, 0, sum));
    this.#socket.write(bytes, (error) => {
      this.queued -= bytes.length;
      this.drainedAt = performance.now();
      done(error === null || error === undefined);
    });
    this.#socket.uncork();
  }

  /** Ends the connection at once: when this returns, nothing is written any more to any room that was given. */
  destroy(error: Error): void {
    this.#error ??= error;
    this.#socket.destroy();
    this.#closed();
  }

  /** Ends it after what was said has been sent. */
  end(error: Error): void {
    this.#error ??= error;
    this.#socket.end();
  }

  keepAlive(processToo: boolean): void {
    if (processToo) this.#socket.ref();
    else this.#socket.unref();
  }

  #took(bytes: number): boolean {
    this.heardAt = performance.now();
    this.#guard(() => this.#inflow.took(bytes));
    this.#turn += bytes;
    if (this.#turn < TURN_BYTES) return true;
    this.#turn = 0;
    setImmediate(() => {
      if (!this.#over) this.#socket.read(0); // takes up reading into the given room again
    });
    return false;
  }

  #guard(work: () => void): void {
    if (this.#over) return;
    try {
      work();
    } catch (thrown) {
      this.destroy(thrown instanceof ProtocolError ? thrown : toError(thrown));
    }
  }

  #closed(): void {
    if (this.#over) return;
    this.#over = true;
    const cause = this.#error;
    this.#events.closed(
      cause === undefined || "syscall" in cause
        ? new ConnectionError(
            `a data connection to ${this.remote} was cut; what is missing is asked for again`,
            {
              cause,
            },
          )
        : cause,
    );
  }
}
