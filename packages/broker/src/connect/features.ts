/**
 * What the server can do, by its version: the one table. Everything that the cluster needs works with
 * {@link OLDEST_SERVER}; the rest are improvements that are used where the server has them.
 */
import type { NatsConnection } from "@nats-io/transport-node";

/** The oldest nats-server that is supported. */
export const OLDEST_SERVER = "2.9.10";

/** Feature to the first server version that has it. */
export const FEATURES = {
  /** Key-value buckets. */
  kv: "2.6.2",
  /** Writes on condition of the last revision. */
  compareAndSet: "2.6.2",
  /** Reads from any replica, without the stream's leader. */
  directGet: "2.9.0",
  /** Consumers with several filter subjects, so that one watch covers several key patterns. */
  multipleFilters: "2.10.0",
  streamMetadata: "2.10.0",
  streamCompression: "2.10.0",
  /** Many keys in one direct get. */
  batchGet: "2.11.0",
  /** A time to live for a single key, set when it is created. */
  perKeyTtl: "2.11.0",
  /** A message in the stream when a key's time to live ends, so that watchers see it. */
  ttlMarkers: "2.11.2",
  /** Priority groups of consumers with one active client. */
  pinnedClient: "2.11.0",
  /** Priority groups in which clients are served by rank. */
  prioritizedClients: "2.12.0",
  /** Several messages that are stored together or not at all. */
  batchPublish: "2.12.0",
  /** Messages that the server publishes at a given time. */
  schedules: "2.12.0",
  /** Counters that replicas merge. */
  counters: "2.12.0",
  /** Messages that the server publishes again and again. */
  repeatedSchedules: "2.14.0",
} as const;
export type Feature = keyof typeof FEATURES;

/** Version of the server at the other end, for example `2.9.10`. The empty string on a closed connection. */
export function serverVersion(nc: NatsConnection): string {
  return nc.info?.version ?? "";
}

/** True where the connected server has the feature. After a reconnect the answer may differ: ask again. */
export function supports(nc: NatsConnection, feature: Feature): boolean {
  return isAtLeast(serverVersion(nc), FEATURES[feature]);
}

/** Compares dotted versions by number; a leading `v` and suffixes such as `-RC.1` are ignored. An unreadable one is never enough. */
export function isAtLeast(version: string, minimum: string): boolean {
  const have = numbersOf(version);
  const want = numbersOf(minimum);
  if (have === undefined || want === undefined) return false;
  for (let i = 0; i < 3; i++) {
    const difference = (have[i] ?? 0) - (want[i] ?? 0);
    if (difference !== 0) return difference > 0;
  }
  return true;
}

function numbersOf(version: string): number[] | undefined {
  const match = /^v?(\d+)\.(\d+)\.(\d+)/.exec(version);
  return match === null ? undefined : match.slice(1).map(Number);
}
