/** What bounds the transfer of bytes. All times in milliseconds, all sizes in bytes. */

export interface PortLimits {
  /** Connections in all; more are refused. Default 2,048. */
  connections: number;
  /** Of them, those whose peer has not proven itself yet. Default 128. */
  unproven: number;
  /** For the handshake. Default 5,000. */
  handshakeMs: number;
  /** A frame that has begun, or bytes that wait to be sent, and nothing moves for so long: the connection is cut. Default 15,000. */
  stallMs: number;
  /** A connection on which nothing is open and nothing happens is closed. Default 120,000. */
  idleMs: number;
  /** Chunks that a connection may have asked for and not got. Default 4,096. */
  wants: number;
  /** Objects that may be open on a connection. Default 4,096. */
  channels: number;
  /** Bytes handed to one connection and not taken by the kernel yet. Default 2 MiB. */
  queuedPerConnection: number;
  /** The same, of all connections together. Default 64 MiB. */
  queued: number;
  /** How long a cut upload may be resumed, and one who has pulled an object is named to others. Default 30,000. */
  lingerMs: number;
  /** Others who are named to one that pulls an object. Default 8. */
  holders: number;
}

export const PORT_LIMITS: Readonly<PortLimits> = {
  connections: 2_048,
  unproven: 128,
  handshakeMs: 5_000,
  stallMs: 15_000,
  idleMs: 120_000,
  wants: 4_096,
  channels: 4_096,
  queuedPerConnection: 2 << 20,
  queued: 64 << 20,
  lingerMs: 30_000,
  holders: 8,
};

export interface PullLimits {
  /** For connecting and the handshake together. Default 3,000. */
  connectTimeoutMs: number;
  /** Bytes asked for and not here, over all pulls of this process. Default 64 MiB. */
  inFlightBytes: number;
  /** The same, per source and pull. Default 8 MiB. */
  windowBytes: number;
  /** A source from which nothing comes for so long loses what was asked of it. Default 10,000. */
  silentMs: number;
  /** The same, for one that is so slow that others wait for it. Default 3,000. */
  slowMs: number;
  /** Connections to one port, for all pulls of this process. Default 2. */
  connectionsPerPeer: number;
  /** A connection that nobody uses is closed after so long. Default 30,000. */
  idleMs: number;
  /** A port that could not be reached is not tried again for so long, but over RPC. Default 10,000. */
  unreachableMs: number;
  /** First pause before a source that was lost is tried again; it doubles. Default 50. */
  retryMs: number;
  /** Failures of one source in a row, without a chunk between them, after which it is given up. Default 4. */
  failures: number;
  /** Damaged chunks after which a source is given up. Default 3. */
  damaged: number;
}

export const PULL_LIMITS: Readonly<PullLimits> = {
  connectTimeoutMs: 3_000,
  inFlightBytes: 64 << 20,
  windowBytes: 8 << 20,
  silentMs: 10_000,
  slowMs: 3_000,
  connectionsPerPeer: 2,
  idleMs: 30_000,
  unreachableMs: 10_000,
  retryMs: 50,
  failures: 4,
  damaged: 3,
};
