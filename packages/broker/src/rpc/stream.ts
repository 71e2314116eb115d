/**
 * What a channel does on the wire: an ordered, exactly-once stream of messages, both ways. Its numbers belong to it
 * and not to a link, so it goes on, in order, when it moves from one link to another.
 */
import { decodeError, encodeError, ProtocolError, wireErrorCheck } from "@stingray/protocol";
import type { EndpointId, StingrayError } from "@stingray/protocol";
import { itemEnd, readItem } from "./cbor-read.js";
import { headerBytes, Kind, sameSender, setAck, smallFrame } from "./frame.js";
import type { Frame } from "./frame.js";
import { Health } from "./health.js";
import { Inflow, type Body } from "./inflow.js";
import type { LinkStats } from "./limits.js";
import { Outbox } from "./outbox.js";
import type { Host, Link, LocalEnd, PeerAddress, RemoteEnd, StreamOwner } from "./parts.js";

/** Frames received after which an acknowledgement is not put off any longer. */
const ACK_FRAMES = 64;
/** The same in bytes. */
const ACK_BYTES = 1024 * 1024;
/** Requests to send again that come closer together than this are answers to the same loss. */
const REWIND_MS = 10;

const checkError = wireErrorCheck();

export class Stream {
  /** Number of our half, unique in this process. */
  readonly id: number;
  /** Number of the peer's half; 0 while it is not known. */
  peerStream = 0;
  /** Stands in the list of streams to be pumped when the turn ends. */
  queued = false;

  private reason: StingrayError | undefined;
  private readonly outbox: Outbox;
  private readonly inflow: Inflow;
  private readonly health: Health;
  private header: Buffer;
  /** What frames of the peer's half begin with. */
  private expected: Buffer | undefined;
  /** Last frame of the peer that we acknowledged, and bytes received since. */
  private ackedTo = 0;
  private unackedBytes = 0;
  private ackAtOnce = false;
  private rewoundAt = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly host: Host,
    private readonly local: LocalEnd,
    /** The process at the other end. */
    private remote: RemoteEnd,
    readonly peer: PeerAddress,
    private readonly owner: StreamOwner,
  ) {
    this.id = host.nextStream();
    this.header = this.makeHeader();
    const { limits } = host;
    this.outbox = new Outbox(limits.frameBytes, limits.messageBytes, this.header);
    this.inflow = new Inflow(limits.reorderBytes, limits.messageBytes + limits.frameBytes);
    this.health = new Health(this, limits, host.ticker);
    remote.add(this);
    host.opened(this);
  }

  /** Why it closed; undefined while it is open. */
  get closed(): StingrayError | undefined {
    return this.reason;
  }
  /** Bytes queued and not yet handed to a link. */
  get backlog(): number {
    return this.outbox.backlog;
  }
  get localId(): EndpointId {
    return this.local.id;
  }
  get end(): RemoteEnd {
    return this.remote;
  }
  // What its health is judged by.
  get unacknowledged(): boolean {
    return this.outbox.unfinished;
  }
  get acked(): number {
    return this.outbox.acked;
  }
  get owesAck(): boolean {
    return this.ackedTo < this.inflow.seq;
  }
  get received(): number {
    return this.inflow.seq;
  }
  get hasGap(): boolean {
    return this.inflow.incomplete;
  }

  /** Queues a message for the end of this turn. @throws SerializationError, InvalidArgumentError */
  send(message: readonly unknown[]): void {
    if (this.reason !== undefined) return;
    this.outbox.push(message);
    if (!this.queued) this.host.atEndOfTurn(this);
  }

  /** Sends what is queued, tells the peer, and closes. */
  close(why: StingrayError): void {
    if (this.reason !== undefined) return;
    this.pump();
    this.control(Kind.Close, this.outbox.seq, encodeError(stackless(why)));
    this.remote.link?.flush();
    this.fail(why);
  }

  /** Closes without telling the peer. */
  fail(reason: StingrayError): void {
    if (this.reason !== undefined) return;
    this.reason = reason;
    this.outbox.clear();
    this.remote.remove(this);
    this.host.forgotten(this);
    this.owner.closed(reason);
  }

  // -------------------------------------------------------------------------------------------------------------
  // Sending.

  /** Hands to the link what it and the window take. */
  pump(): void {
    if (this.reason !== undefined) return;
    const { outbox } = this;
    if (outbox.waiting) {
      if (this.remote.link?.kind !== "socket") this.remote.wanted(); // may begin to dial, and have us wait for it
      const { link } = this.remote;
      const { windowBytes } = this.host.limits;
      if (link !== undefined && !this.health.suspicious) {
        const window = link.kind === "nats" ? windowBytes / 4 : windowBytes;
        for (let writable = link.writable; ; writable = link.writable) {
          if (!writable) {
            link.resume(this);
            break;
          }
          const frame = outbox.take(window);
          if (frame === undefined) break;
          this.transmit(link, frame);
        }
      }
    }
    if (this.ackAtOnce) this.acknowledge();
    if (outbox.unfinished) this.health.watch();
  }

  private transmit(link: Link, frame: Frame): void {
    if (frame.sent) this.host.stats.resent++;
    frame.sent = true;
    this.stamp(frame);
    link.send(frame, this.peer.endpoint, true);
  }

  private stamp(frame: Frame): void {
    setAck(frame.buffer, frame.start, this.inflow.seq, this.peerStream);
    this.ackedTo = this.inflow.seq;
    this.unackedBytes = 0;
    this.ackAtOnce = false;
  }

  private control(kind: Kind, seq = 0, body?: unknown): void {
    const { link } = this.remote;
    if (link === undefined) return;
    const frame = smallFrame(this.header, kind, seq, body);
    this.stamp(frame);
    link.send(frame, this.peer.endpoint, kind === Kind.Ping);
  }

  /** Tells the peer what has come. */
  acknowledge(): void {
    if (this.ackedTo < this.inflow.seq || this.ackAtOnce) this.control(Kind.Ack);
    this.remote.link?.flush();
  }
  /** Asks where the peer stands. */
  ping(): void {
    this.control(Kind.Ping, this.outbox.sent);
    this.remote.link?.flush();
  }
  /** Asks for what is missing. */
  askAgain(): void {
    this.control(Kind.Resend);
    this.remote.link?.flush();
  }
  /** Nothing is outstanding: buffers can go until the next message. */
  rest(): void {
    this.outbox.rest();
  }
  /** The link takes more again. */
  wake(): void {
    if (!this.queued && this.reason === undefined) this.host.atEndOfTurn(this);
  }
  /** Sends everything again that is not acknowledged: the link changed, or the peer lacks it. */
  resend(): void {
    this.outbox.rewind();
    if (this.outbox.waiting || this.owesAck) this.wake();
  }
  /** The way to the peer is another one. */
  linkChanged(): void {
    this.health.moved();
    this.resend();
  }
  /** Nobody listens at the peer's subject. */
  noResponders(): void {
    if (this.remote.link?.kind === "nats") this.health.suspect(performance.now());
  }
  /** The socket to the peer broke and did not come back. */
  doubt(): void {
    this.health.doubt(performance.now());
  }
  /** The peer's process was found at this remote. */
  moveTo(remote: RemoteEnd): void {
    if (remote === this.remote || this.reason !== undefined) return;
    const before = this.remote.link;
    this.remote.remove(this);
    this.remote = remote;
    remote.add(this);
    if (remote.link !== before) this.linkChanged();
  }

  private makeHeader(): Buffer {
    const { peer, host, local } = this;
    return headerBytes({
      kind: Kind.Data,
      from: local.id,
      to: peer.endpoint,
      epoch: peer.epoch ?? 0,
      seq: 0,
      ack: 0,
      fromEpoch: local.epoch,
      stream: this.id,
      peerStream: this.peerStream,
      process: this.peerStream === 0 ? host.process : undefined,
      node: host.node,
    });
  }

  // -------------------------------------------------------------------------------------------------------------
  // Receiving.

  /** True where the frame is of the peer's half of this channel. */
  expects(buffer: Buffer, start: number): boolean {
    return this.expected !== undefined && sameSender(buffer, start, this.expected);
  }

  /** The peer's half is known from now on. */
  pair(peerStream: number): void {
    const { peer, local } = this;
    this.peerStream = peerStream;
    this.expected = headerBytes({
      kind: Kind.Data,
      from: peer.endpoint,
      to: local.id,
      epoch: local.epoch,
      seq: 0,
      ack: 0,
      fromEpoch: peer.epoch ?? 0,
      stream: peerStream,
      peerStream: this.id,
    });
    this.header = this.makeHeader();
    this.outbox.useHeader(this.header);
  }

  /** A frame of the peer's half. `ack` is 0 where it is not about our half. */
  receive(kind: Kind, seq: number, ack: number, body: Body, traffic: LinkStats): void {
    if (this.health.heard()) this.resend();
    if (ack > this.outbox.acked) {
      if (!this.outbox.acknowledge(ack))
        throw new ProtocolError(`frame ${ack} is acknowledged, but was never sent`);
      if (this.outbox.waiting) this.wake();
    }
    switch (kind) {
      case Kind.Data:
        return this.data(seq, body, traffic);
      case Kind.Part:
        return this.part(seq, body, traffic);
      case Kind.Ping:
        if (this.inflow.seq < seq) this.askAgain();
        else {
          this.ackAtOnce = true;
          this.acknowledge();
        }
        return;
      case Kind.Resend: {
        const now = performance.now();
        if (now - this.rewoundAt < REWIND_MS) return;
        this.rewoundAt = now;
        return this.resend();
      }
      case Kind.Reset:
      case Kind.Close:
        return this.fail(decodeError(checkError(readItem(body.buffer, body.start, body.end), "reason")));
      case Kind.Refused: {
        this.host.stats.refused++;
        const error = decodeError(checkError(readItem(body.buffer, body.start, body.end), "reason"));
        return this.host.malformed({
          from: this.peer.endpoint,
          to: this.local.id,
          link: this.via,
          ours: true,
          error,
        });
      }
      case Kind.Ack:
        return;
    }
  }

  private data(seq: number, body: Body, traffic: LinkStats): void {
    const { inflow } = this;
    switch (inflow.accept(seq, body)) {
      case "next":
        this.unackedBytes += body.end - body.start;
        this.deliver(body, traffic);
        for (let next = inflow.following(); next !== undefined; next = inflow.following())
          this.deliver(next, traffic);
        if (inflow.seq - this.ackedTo >= ACK_FRAMES || this.unackedBytes >= ACK_BYTES) this.ackSoon();
        else this.health.watch();
        return;
      case "seen":
        this.host.stats.duplicates++;
        return this.ackSoon();
      case "early":
        return this.health.watch();
    }
  }

  private ackSoon(): void {
    this.ackAtOnce = true;
    this.wake();
  }

  private part(seq: number, body: Body, traffic: LinkStats): void {
    const { buffer, end } = body;
    const offset = readItem(buffer, body.start, end);
    const total = readItem(buffer, itemEnd(), end);
    const bytes = readItem(buffer, itemEnd(), end);
    if (typeof offset !== "number" || typeof total !== "number" || !(bytes instanceof Uint8Array))
      throw new ProtocolError("malformed frame: a part is [offset, total, bytes]");
    const whole = this.inflow.part(seq, offset, total, bytes);
    this.health.watch();
    if (whole !== undefined) this.data(seq, whole, traffic);
    else if (seq <= this.inflow.seq) this.ackSoon();
  }

  /** Hands out the messages of a frame, in order. What can't be decoded ends the frame; the sender is told. */
  private deliver(body: Body, traffic: LinkStats): void {
    const { buffer, end } = body;
    let at = body.start;
    while (at < end && this.reason === undefined) {
      let message: unknown;
      try {
        message = readItem(buffer, at, end);
      } catch (error) {
        return this.refuse(error);
      }
      at = itemEnd();
      traffic.messagesIn++;
      this.owner.message(message);
    }
  }

  /** Counts and reports what could not be understood, and tells the sender. */
  refuse(error: unknown): void {
    const problem = error instanceof Error ? error : new ProtocolError(String(error));
    this.host.stats.malformed++;
    this.host.malformed({
      from: this.peer.endpoint,
      to: this.local.id,
      link: this.via,
      ours: false,
      error: problem,
    });
    if (this.reason !== undefined) return;
    this.control(Kind.Refused, 0, encodeError(stackless(problem)));
    this.wake(); // flushes the link
  }

  private get via(): "socket" | "nats" {
    return this.remote.link?.kind ?? "nats";
  }
}

/** Our own stack says nothing to a peer. */
function stackless(error: Error): Error {
  const copy = Object.create(error) as Error;
  Object.defineProperty(copy, "stack", { value: undefined });
  return copy;
}
