/** The seams between the parts of the transport: each sees of the others what stands here. */
import type { ActorId, EndpointId, NodeId, ProcessId, StingrayError } from "@stingray/protocol";
import type { Deadlines } from "./deadlines.js";
import type { Frame, Header } from "./frame.js";
import type { LinkStats, MalformedInfo, TransportLimits, TransportStats } from "./limits.js";
import type { Stream } from "./stream.js";
import type { Ticker } from "./ticker.js";

/** Who is meant, and what is known of where it is. */
export interface PeerAddress {
  /** A process inbox or an actor mailbox. */
  endpoint: EndpointId;
  /** Mailboxes: the incarnation. Default 0. Frames for another one are refused, and the channel closes. */
  epoch?: number;
  /** The process that hosts it. Default: the endpoint itself where it is a process. */
  process?: ProcessId;
  /** The node where it runs. On our own node a Unix socket is tried. */
  node?: NodeId;
}

/** Carries frames to one process (socket) or to everyone (NATS). */
export interface Link {
  readonly kind: "socket" | "nats";
  readonly stats: LinkStats;
  /** False while more would only pile up in memory; see `resume`. */
  readonly writable: boolean;
  /**
   * Queues a frame. Never throws.
   * @param answerable the broker is to tell us if nobody listens
   */
  send(frame: Frame, to: EndpointId, answerable: boolean): void;
  /** Puts what is queued on the wire. */
  flush(): void;
  /** Pumps the stream again when the link is writable. */
  resume(stream: Stream): void;
}

/** Where a frame came in. `process`: who is at the other end, where that is proven. */
export interface Arrival {
  readonly link: Link;
  /** The endpoint on whose subject it came. A frame for another one was misdirected, by mistake or on purpose. */
  readonly at?: EndpointId | undefined;
  readonly process?: ProcessId | undefined;
}

/** What streams and endpoints need of the transport. */
export interface Host {
  readonly process: ProcessId;
  readonly node: NodeId | undefined;
  readonly limits: Readonly<TransportLimits>;
  readonly stats: TransportStats;
  readonly ticker: Ticker;
  readonly deadlines: Deadlines;
  /** Set once the transport closes. */
  readonly closed: StingrayError | undefined;
  /** Pumps the stream, and flushes its link, when this turn of the event loop ends. */
  atEndOfTurn(stream: Stream): void;
  /** A new number for a stream. */
  nextStream(): number;
  /** The stream is registered under its number, or not any more. */
  opened(stream: Stream): void;
  forgotten(stream: Stream): void;
  /** Where a peer is, as its frame and the way it came say. */
  whereabouts(header: Header, arrival: Arrival): { process?: ProcessId; node?: NodeId };
  /** The same for a stream that was open before. */
  located(stream: Stream, header: Header, arrival: Arrival): void;
  malformed(info: MalformedInfo): void;
  handlerFailed(error: unknown, where: string): void;
}

/** The endpoint that a stream belongs to. */
export interface LocalEnd {
  readonly id: EndpointId;
  readonly epoch: number;
}

/** Whose stream it is. Neither may throw. */
export interface StreamOwner {
  /** A decoded message came in, in order. */
  message(message: unknown): void;
  closed(reason: StingrayError): void;
}

/** What a stream needs to know of the process at its other end. */
export interface RemoteEnd {
  /** The link to take now; undefined: frames wait. */
  readonly link: Link | undefined;
  /** When the broker was last reached again, in milliseconds of `performance.now()`. */
  readonly reconnectedAt: number;
  /** Its socket is gone: nobody listens there. */
  readonly refused: boolean;
  /** There is something to send. */
  wanted(): void;
  add(stream: Stream): void;
  remove(stream: Stream): void;
}

export const isActor = (id: EndpointId): id is ActorId => id.startsWith("a");
