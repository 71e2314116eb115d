/**
 * Finds the channel that an incoming frame is for, makes it where the peer opens one, and answers frames for what is
 * not here. Whatever comes in, nothing leaves this as an exception.
 */
import { ConnectionError, encodeError, ProtocolError, toError } from "@stingray/protocol";
import type { EndpointId } from "@stingray/protocol";
import type { Stream } from "./stream.js";
import { itemEnd } from "./cbor-read.js";
import type { Endpoint } from "./endpoint.js";
import {
  fastAck,
  fastKind,
  fastPeerStream,
  fastSeq,
  HEADER_BYTES,
  headerBytes,
  isUsual,
  Kind,
  readHeader,
  smallFrame,
  type Header,
} from "./frame.js";
import { isActor, type Arrival, type Host } from "./parts.js";

/** Closed streams of peers that are remembered, so that a late frame does not open a channel again. */
const REMEMBERED = 10_000;

export class Router {
  private readonly byStream = new Map<number, Stream>();
  private readonly byPeer = new Map<EndpointId, Set<Stream>>();
  private readonly endpoints = new Map<EndpointId, Endpoint>();
  private readonly closedStreams = new Map<string, number>();

  constructor(private readonly host: Host) {}

  addEndpoint(endpoint: Endpoint): void {
    this.endpoints.set(endpoint.id, endpoint);
  }
  removeEndpoint(endpoint: Endpoint): void {
    if (this.endpoints.get(endpoint.id) === endpoint) this.endpoints.delete(endpoint.id);
  }
  endpoint(id: EndpointId): Endpoint | undefined {
    return this.endpoints.get(id);
  }
  get allEndpoints(): Endpoint[] {
    return [...this.endpoints.values()];
  }

  addStream(stream: Stream): void {
    this.byStream.set(stream.id, stream);
    const { endpoint } = stream.peer;
    const same = this.byPeer.get(endpoint);
    if (same === undefined) this.byPeer.set(endpoint, new Set([stream]));
    else same.add(stream);
  }
  removeStream(stream: Stream): void {
    this.byStream.delete(stream.id);
    const same = this.byPeer.get(stream.peer.endpoint);
    same?.delete(stream);
    if (same?.size === 0) this.byPeer.delete(stream.peer.endpoint);
    if (stream.peerStream === 0) return;
    const key = streamKey(stream.localId, stream.peer.endpoint, stream.peer.epoch ?? 0);
    this.closedStreams.delete(key);
    this.closedStreams.set(key, stream.peerStream);
    if (this.closedStreams.size <= REMEMBERED) return;
    for (const oldest of this.closedStreams.keys()) {
      this.closedStreams.delete(oldest);
      return;
    }
  }
  get allStreams(): Stream[] {
    return [...this.byStream.values()];
  }
  get size(): number {
    return this.byStream.size;
  }

  /** A frame from `start` to `end` of a buffer that is not written any more. */
  receive(buffer: Buffer, start: number, end: number, arrival: Arrival): void {
    if (isUsual(buffer, start, end)) {
      const stream = this.byStream.get(fastPeerStream(buffer, start));
      if (stream !== undefined && stream.expects(buffer, start)) {
        const body = { buffer, start: start + HEADER_BYTES, end };
        try {
          stream.receive(
            fastKind(buffer, start),
            fastSeq(buffer, start),
            fastAck(buffer, start),
            body,
            arrival.link.stats,
          );
        } catch (error) {
          stream.refuse(error);
        }
        return;
      }
    }
    this.receiveAny(buffer, start, end, arrival);
  }

  private receiveAny(buffer: Buffer, start: number, end: number, arrival: Arrival): void {
    const partial: Partial<Header> = {};
    let header: Header;
    try {
      header = readHeader(buffer, start, end, partial);
    } catch (error) {
      return this.refuse(partial, error, arrival);
    }
    const body = { buffer, start: itemEnd(), end };
    const { kind, seq, ack } = header;
    try {
      if (this.isMisdirected(header.to, arrival))
        throw new ProtocolError(`a frame for ${header.to} was sent to ${arrival.at ?? this.host.process}`);
      const stream =
        kind === Kind.Data || kind === Kind.Part || kind === Kind.Ping
          ? this.streamFor(header, arrival)
          : this.streamOf(header);
      stream?.receive(kind, seq, header.peerStream === stream.id ? ack : 0, body, arrival.link.stats);
    } catch (error) {
      this.refuse(partial, error, arrival);
    }
  }

  /** The channel that a frame with messages is for; undefined where it was refused or is stale. */
  private streamFor(header: Header, arrival: Arrival): Stream | undefined {
    if (arrival.process !== undefined && !isActor(header.from) && header.from !== arrival.process)
      throw new ProtocolError(`${arrival.process} sent a frame in the name of ${header.from}`);
    const endpoint = this.endpoints.get(header.to);
    if (endpoint === undefined)
      return this.reset(header, arrival, `there is no ${header.to} in process ${this.host.process}`);
    // On a subject a later incarnation may be listening as well: it is for that one to answer.
    if (endpoint.epoch < header.epoch && arrival.link.kind === "nats") return undefined;
    if (endpoint.epoch !== header.epoch)
      return this.reset(
        header,
        arrival,
        `incarnation ${header.epoch} of ${header.to} was meant, but incarnation ${endpoint.epoch} lives here`,
        { epoch: header.epoch, liveEpoch: endpoint.epoch },
      );
    const open = endpoint.find(header.from, header.fromEpoch);
    if (open !== undefined) {
      if (header.peerStream !== 0 && header.peerStream !== open.id)
        return this.reset(header, arrival, `the channel that was meant is closed`);
      if (open.peerStream === header.stream) return open;
      if (open.peerStream === 0) {
        if (this.isClosed(header)) return this.reset(header, arrival, `the channel that was meant is closed`);
        open.pair(header.stream);
        this.host.located(open, header, arrival);
        return open;
      }
      if (header.stream < open.peerStream) {
        this.host.stats.duplicates++;
        return undefined;
      }
      open.fail(new ConnectionError(`${header.from} closed the channel and opened another one`));
    }
    if (header.peerStream !== 0 || this.isClosed(header))
      return this.reset(header, arrival, `the channel that was meant is closed`);
    const peer = {
      endpoint: header.from,
      epoch: header.fromEpoch,
      ...this.host.whereabouts(header, arrival),
    };
    const stream = endpoint.streamTo(peer);
    if (stream.closed !== undefined) return undefined;
    stream.pair(header.stream);
    return stream;
  }

  /** The channel that a frame about a channel is for; undefined where there is none (any more). */
  private streamOf(header: Header): Stream | undefined {
    const stream =
      header.peerStream === 0
        ? this.endpoints.get(header.to)?.find(header.from, header.fromEpoch)
        : this.byStream.get(header.peerStream);
    if (stream === undefined || stream.localId !== header.to) return undefined;
    const { peer } = stream;
    if (peer.endpoint !== header.from || (peer.epoch ?? 0) !== header.fromEpoch) return undefined;
    // A process that never knew the channel refuses it without a stream of its own.
    if (header.kind === Kind.Reset || header.kind === Kind.Refused)
      return header.peerStream === 0 ? undefined : stream;
    if (stream.peerStream === 0 && header.peerStream === stream.id && header.stream !== 0)
      stream.pair(header.stream);
    return header.stream === stream.peerStream ? stream : undefined;
  }

  /** A mailbox may have been here until now: only its subject, or its process, can tell. */
  private isMisdirected(to: EndpointId, arrival: Arrival): boolean {
    return arrival.at === undefined ? !isActor(to) && to !== this.host.process : to !== arrival.at;
  }

  private isClosed(header: Header): boolean {
    const closed = this.closedStreams.get(streamKey(header.to, header.from, header.fromEpoch));
    return closed !== undefined && header.stream <= closed;
  }

  private reset(
    header: Header,
    arrival: Arrival,
    why: string,
    detail: Record<string, string | number> = {},
  ): undefined {
    const error = new ConnectionError(`${header.to} refused the channel: ${why}`, {
      detail: { peer: header.to, reason: "reset", ...detail },
    });
    this.answer(header, Kind.Reset, error, arrival);
    return undefined;
  }

  private refuse(partial: Partial<Header>, thrown: unknown, arrival: Arrival): void {
    const error = toError(thrown);
    this.host.stats.malformed++;
    this.host.malformed({ from: partial.from, to: partial.to, link: arrival.link.kind, ours: false, error });
    if (partial.from === undefined || partial.to === undefined) return;
    // An answer would be in the name of an endpoint that lives elsewhere, and could close a channel that is well.
    if (this.isMisdirected(partial.to, arrival)) return;
    this.answer(
      partial,
      Kind.Refused,
      error instanceof ProtocolError ? error : new ProtocolError(error.message),
      arrival,
    );
  }

  /** Answers a frame that belongs to no channel, the way it came. */
  private answer(header: Partial<Header>, kind: Kind, error: Error, arrival: Arrival): void {
    const { from, to } = header;
    if (from === undefined || to === undefined) return;
    const head = headerBytes({
      kind,
      from: to,
      to: from,
      epoch: header.fromEpoch ?? 0,
      seq: 0,
      ack: 0,
      fromEpoch: header.epoch ?? 0,
      stream: 0,
      peerStream: header.stream ?? 0,
    });
    const { stack: _stack, ...wire } = encodeError(error);
    arrival.link.send(smallFrame(head, kind, 0, wire), from, false);
    arrival.link.flush();
  }

  /** The broker says that nobody listens for this endpoint. */
  noResponders(endpoint: string): void {
    for (const stream of this.byPeer.get(endpoint as EndpointId) ?? []) stream.noResponders();
  }
}

const streamKey = (local: EndpointId, peer: EndpointId, epoch: number): string => `${local}/${peer}/${epoch}`;
