/** Batched RPC over two links. The connection to NATS is `@stingray/broker/connect`, the embedded server `…/server`. */
export { Transport } from "./rpc/transport.js";
export { Endpoint } from "./rpc/endpoint.js";
export { Channel } from "./rpc/channel.js";
export { encodePlain, decodePlain } from "./rpc/plain.js";
export { DEFAULT_LIMITS, REQUEST_TIMEOUT_MS } from "./rpc/limits.js";
export type { TransportOptions } from "./rpc/transport.js";
export type { PeerAddress } from "./rpc/parts.js";
export type { RequestOptions } from "./rpc/requests.js";
export type { LinkStats, MalformedInfo, TransportLimits, TransportStats } from "./rpc/limits.js";
