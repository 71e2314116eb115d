/**
 * Heartbeats: an agent says that it lives, what it has free (its standing bid), and what waits for it. Published on
 * every change and at least once per heartbeat period; loss is allowed, the next one says it all again.
 */
import {
  resourceAmounts,
  bool,
  isNodeId,
  isProcessId,
  list,
  mapOf,
  oneOf,
  optional,
  pendingDemand,
  shape,
  storeFigures,
  text,
  uint,
  type NodeView,
  type StoreFigures,
} from "@stingray/protocol";
import type { Bid } from "@stingray/scheduler";
import { decodeFeed, encodeFeed } from "./codec.js";

/** One heartbeat: the scheduler's `Bid`, so that `ClusterView.update` takes it as it is, and what else people want to know. */
export interface Heartbeat extends Bid {
  hostname: string;
  /** Of the agent's process. */
  pid: number;
  workers: number;
  actors: number;
  /** Bytes in the object store, and its capacity. */
  storeUsed: number;
  storeCapacity: number;
  /** What the agent says of itself. Whether it is suspect or dead is for others to say. */
  state: "ALIVE" | "DRAINING";
  pending: NodeView["pending"];
  /** All that the store says of itself; absent from nodes of a version that says less. */
  store?: StoreFigures | undefined;
}

const KIND = "heartbeat";

/** The order of the items on the wire. Only ever append: a newer peer's further items are ignored. */
const FIELDS: { [K in keyof Heartbeat]-?: (value: unknown, at: string) => Heartbeat[K] } = {
  node: shape(isNodeId, "a node id"),
  agent: shape(isProcessId, "a process id"),
  available: resourceAmounts,
  total: resourceAmounts,
  labels: mapOf(text),
  queued: uint,
  idleWorkers: uint,
  draining: bool,
  sequence: uint,
  hostname: text,
  pid: uint,
  workers: uint,
  actors: uint,
  storeUsed: uint,
  storeCapacity: uint,
  state: oneOf("ALIVE", "DRAINING"),
  pending: list(pendingDemand, 10_000),
  store: optional(storeFigures),
};
const NAMES = Object.keys(FIELDS) as (keyof Heartbeat)[];

/** A heartbeat as a CBOR array `[version, "heartbeat", …fields in order]`. */
export function encodeHeartbeat(heartbeat: Heartbeat): Uint8Array {
  return encodeFeed(
    KIND,
    NAMES.map((name) => heartbeat[name]),
  );
}

/** The inverse of {@link encodeHeartbeat}. @throws ProtocolError for another version, kind or shape */
export function decodeHeartbeat(data: Uint8Array): Heartbeat {
  const items = decodeFeed(KIND, data);
  const heartbeat: Partial<Record<keyof Heartbeat, unknown>> = {};
  NAMES.forEach((name, i) => {
    const value = FIELDS[name](items[i], `heartbeat.${name}`);
    if (value !== undefined) heartbeat[name] = value;
  });
  return heartbeat as Heartbeat;
}
