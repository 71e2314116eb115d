/** What bounds the transport, and what it counts. */

/** All times in milliseconds, all sizes in bytes. */
export interface TransportLimits {
  /** A frame is cut when it has this many bytes. Default 256 KiB. */
  frameBytes: number;
  /** Largest encoded message that can be sent or is accepted. Default 256 MiB. */
  messageBytes: number;
  /** Bytes on the way and not acknowledged, per channel; more waits locally. Default 32 MiB, over NATS at most a quarter of it. */
  windowBytes: number;
  /** Frames that came too early and wait for those before them, per channel. Default 32 MiB. */
  reorderBytes: number;
  /** How long frames wait for a socket to a process of the same node before they take NATS. Default 200. */
  dialMs: number;
  /** How long a dialled or accepted socket may take to prove itself. Default 2,000. */
  handshakeMs: number;
  /** Nothing acknowledged for so long: ask the peer where it stands; doubled each time up to 8 times. Default 1,000. */
  stallMs: number;
  /** The broker says that nobody listens: how long the peer may take to appear or come back. Default 3,000. */
  goneMs: number;
  /** The same where its socket is gone too. Default 600. */
  goneLocalMs: number;
  /** After a reconnect to the broker, others may still be reconnecting: added to `goneMs`. Default 5,000. */
  reconnectGraceMs: number;
  /** How long frames wait for `attachBroker` where nothing else leads to the peer. Default 10,000. */
  attachMs: number;
  /** How long the event loop is kept awake after a message came over a socket, in microseconds, where that helps. Default 100; 0 never. */
  awakeUs: number;
}

export const DEFAULT_LIMITS: Readonly<TransportLimits> = {
  frameBytes: 256 * 1024,
  messageBytes: 256 * 1024 * 1024,
  windowBytes: 32 * 1024 * 1024,
  reorderBytes: 32 * 1024 * 1024,
  dialMs: 200,
  handshakeMs: 2_000,
  stallMs: 1_000,
  goneMs: 3_000,
  goneLocalMs: 600,
  reconnectGraceMs: 5_000,
  attachMs: 10_000,
  awakeUs: 100,
};

/** Default deadline of a request. */
export const REQUEST_TIMEOUT_MS = 10_000;
/** Period of the one timer that looks after channels with something outstanding; acknowledgements wait as long. */
export const TICK_MS = 20;

/** What went over one kind of link since the transport was made. Bytes are those of frames. */
export interface LinkStats {
  framesOut: number;
  messagesOut: number;
  bytesOut: number;
  framesIn: number;
  messagesIn: number;
  bytesIn: number;
}

export interface TransportStats {
  socket: LinkStats;
  nats: LinkStats;
  /** Frames sent again. */
  resent: number;
  /** Frames that had been received before and were dropped. */
  duplicates: number;
  /** Frames or messages that were refused here. */
  malformed: number;
  /** Frames or messages of ours that a peer refused. */
  refused: number;
  /** Socket peers that could not prove to know the secret. */
  unproven: number;
  /** Handlers that threw. */
  handlerErrors: number;
  /** Open channels and open sockets, now. */
  channels: number;
  sockets: number;
}

const noTraffic = (): LinkStats => ({
  framesOut: 0,
  messagesOut: 0,
  bytesOut: 0,
  framesIn: 0,
  messagesIn: 0,
  bytesIn: 0,
});

export const newStats = (): TransportStats => ({
  socket: noTraffic(),
  nats: noTraffic(),
  resent: 0,
  duplicates: 0,
  malformed: 0,
  refused: 0,
  unproven: 0,
  handlerErrors: 0,
  channels: 0,
  sockets: 0,
});

/** Something that came in and could not be understood. It was counted and refused, and nothing else happened. */
export interface MalformedInfo {
  /** The endpoint that sent it, where that could be read. */
  from?: string | undefined;
  /** The endpoint that it was for, where that could be read. */
  to?: string | undefined;
  link: "socket" | "nats";
  /** True where a peer tells us that it refused something of ours. */
  ours: boolean;
  error: Error;
}
