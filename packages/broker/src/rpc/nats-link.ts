/**
 * Frames over NATS: the link that leads to everyone. Publishes to the subject of the endpoint, with a reply subject of
 * ours so that the server tells us when nobody listens there; frames too large for the broker travel in parts.
 */
import type { Msg, NatsConnection, Subscription } from "@nats-io/nats-core";
import type { EndpointId, ProcessId, Subjects } from "@stingray/protocol";
import type { Stream } from "./stream.js";
import { Writer } from "./cbor-write.js";
import { HEADER_BYTES, Kind, LENGTH_BYTES, fastSeq, setNumber, type Frame } from "./frame.js";
import { itemEnd, readItem } from "./cbor-read.js";
import type { LinkStats } from "./limits.js";
import type { Link } from "./parts.js";

/** What a part needs beside its bytes: a header with process and node, and the heads of three items. */
const PART_OVERHEAD = 256;
const DEFAULT_MAX_PAYLOAD = 1024 * 1024;
const NO_RESPONDERS = "503";

export interface NatsEvents {
  /** @param at the endpoint on whose subject it came */
  frame(buffer: Buffer, link: NatsLink, at: EndpointId): void;
  noResponders(endpoint: string): void;
  /** It came up, went down, or came up again after an unnoticed break. */
  changed(): void;
  /** The server refused a subscription of ours. */
  subscriptionFailed(subject: string, error: Error): void;
}

/** `none`: no broker attached. `down`: attached, not connected now. */
type State = { at: "none" } | { at: "up" | "down"; connection: NatsConnection };

export class NatsLink implements Link {
  readonly kind = "nats";
  readonly writable = true;
  /** When it came up last, after having been down; milliseconds of `performance.now()`. */
  reconnectedAt = Number.NEGATIVE_INFINITY;
  private state: State = { at: "none" };
  private readonly endpoints = new Map<EndpointId, Subscription | undefined>();
  private replies: Subscription | undefined;
  private stopWatching: (() => void) | undefined;

  constructor(
    private readonly process: ProcessId,
    private readonly subjects: Subjects,
    readonly stats: LinkStats,
    private readonly events: NatsEvents,
  ) {}

  get up(): boolean {
    return this.state.at === "up";
  }
  get attached(): boolean {
    return this.state.at !== "none";
  }

  /** Takes this connection from now on, in place of another one if there was. It stays the caller's to close. */
  attach(connection: NatsConnection): void {
    this.leave();
    if (connection.isClosed()) return;
    this.state = { at: "up", connection };
    this.replies = this.subscribe(connection, this.subjects.noResponders(this.process), (message) => {
      if (message.data.length > 0 || message.headers?.status !== NO_RESPONDERS) return;
      const { subject } = message;
      this.events.noResponders(subject.slice(subject.lastIndexOf(".") + 1));
    });
    for (const id of this.endpoints.keys()) this.endpoints.set(id, this.listen(connection, id));
    this.watch(connection);
    this.events.changed();
  }

  /** Leaves the connection as it was found, when it has written what was sent, at most `ms` later. */
  async detach(ms: number): Promise<void> {
    const { state } = this;
    if (state.at === "up" && !state.connection.isClosed()) {
      let timer: NodeJS.Timeout | undefined;
      const patience = new Promise<void>((resolve) => (timer = setTimeout(resolve, ms)));
      await Promise.race([state.connection.flush().catch(() => {}), patience]); // a break ends it too
      clearTimeout(timer);
    }
    this.leave();
  }

  private leave(): void {
    this.stopWatching?.();
    this.stopWatching = undefined;
    if (this.state.at !== "none" && !this.state.connection.isClosed()) {
      this.replies?.unsubscribe();
      for (const subscription of this.endpoints.values()) subscription?.unsubscribe();
    }
    this.state = { at: "none" };
  }

  /** Frames for this endpoint are taken from the broker from now on. */
  open(id: EndpointId): void {
    const { state } = this;
    this.endpoints.set(id, state.at === "none" ? undefined : this.listen(state.connection, id));
  }
  close(id: EndpointId): void {
    const subscription = this.endpoints.get(id);
    this.endpoints.delete(id);
    if (this.state.at !== "none" && !this.state.connection.isClosed()) subscription?.unsubscribe();
  }

  send(frame: Frame, to: EndpointId, answerable: boolean): void {
    const { state } = this;
    if (state.at !== "up") return;
    const { connection } = state;
    const size = frame.end - frame.start;
    const most = connection.info?.max_payload ?? DEFAULT_MAX_PAYLOAD;
    const subject = this.subjects.endpoint(to);
    const options = answerable ? { reply: this.subjects.noResponder(this.process, to) } : undefined;
    try {
      if (size <= most) connection.publish(subject, frame.buffer.subarray(frame.start, frame.end), options);
      else for (const part of parts(frame, most - PART_OVERHEAD)) connection.publish(subject, part, options);
    } catch {
      return this.lost(); // closed or draining; the frame stays with its channel
    }
    this.stats.framesOut++;
    this.stats.messagesOut += frame.messages;
    this.stats.bytesOut += size;
  }

  flush(): void {
    // The client writes at the end of the microtasks that follow, all that was published since in one go.
  }
  resume(_stream: Stream): void {
    // Always writable: the window of each channel bounds what is on the way.
  }

  private listen(connection: NatsConnection, id: EndpointId): Subscription | undefined {
    return this.subscribe(connection, this.subjects.endpoint(id), ({ data }) => {
      this.stats.framesIn++;
      this.stats.bytesIn += data.length;
      this.events.frame(asBuffer(data), this, id);
    });
  }

  private subscribe(
    connection: NatsConnection,
    subject: string,
    take: (message: Msg) => void,
  ): Subscription | undefined {
    return connection.subscribe(subject, {
      callback: (error, message) => {
        if (error) this.events.subscriptionFailed(subject, error);
        else take(message);
      },
    });
  }

  private watch(connection: NatsConnection): void {
    const status = connection.status();
    let stopped = false;
    this.stopWatching = () => {
      stopped = true;
      // The iterator of the client can be stopped from outside; what it is declared as can't.
      (status as { stop?: () => void }).stop?.();
    };
    void (async () => {
      for await (const event of status) {
        if (stopped) return;
        if (event.type === "disconnect" || event.type === "close") this.lost();
        else if (event.type === "reconnect") this.regained(connection);
      }
    })();
    void (async () => {
      await connection.closed();
      if (!stopped) this.lost();
    })();
  }

  private lost(): void {
    if (this.state.at === "none") return;
    const { connection } = this.state;
    const closed = connection.isClosed();
    if (!closed && this.state.at === "down") return;
    this.state = closed ? { at: "none" } : { at: "down", connection };
    this.events.changed();
  }

  private regained(connection: NatsConnection): void {
    this.state = { at: "down", connection };
    this.events.changed(); // channels see the break even where its own event was missed
    this.state = { at: "up", connection };
    this.reconnectedAt = performance.now();
    this.events.changed();
  }
}

function asBuffer(data: Uint8Array): Buffer {
  return Buffer.isBuffer(data) ? data : Buffer.from(data.buffer, data.byteOffset, data.byteLength);
}

/** The frame as parts, each a frame of its own: the same header of kind Part, `offset`, `total` and bytes. */
function* parts(frame: Frame, size: number): Generator<Uint8Array> {
  readItem(frame.buffer, frame.start, frame.end);
  const body = itemEnd();
  const head = frame.buffer.subarray(frame.start, body);
  const total = frame.end - body;
  const seq = fastSeq(frame.buffer, frame.start);
  for (let offset = 0; offset < total; offset += size) {
    const writer = new Writer(LENGTH_BYTES + HEADER_BYTES + Math.min(size, total - offset) + PART_OVERHEAD);
    writer.ensure(head.length);
    writer.buffer.set(head, 0);
    writer.at = head.length;
    setNumber(writer.buffer, 0, Kind.Part, seq);
    writer.value(offset);
    writer.value(total);
    writer.value(frame.buffer.subarray(body + offset, Math.min(body + offset + size, frame.end)));
    yield writer.buffer.subarray(0, writer.at);
  }
}
