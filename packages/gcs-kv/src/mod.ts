/** The control store: typed tables on JetStream key-value buckets, watch-fed caches and leases. */
export { ControlStore, DEFAULT_TIMEOUT_MS } from "./store.js";
export type { ControlStoreOptions } from "./store.js";
export { MemoryControlStore, MemoryTable } from "./memory.js";
export type { MemoryTableOptions } from "./memory.js";
export type { Change, Row, Table, TableCache, Tables, WaitOptions, Written } from "./table.js";
export { Lease } from "./lease.js";
export type { LeaseOptions, LeaseRow } from "./lease.js";
export { nextLeaseState } from "./lease-state.js";
export type { LeaseEvent, LeaseState } from "./lease-state.js";
export {
  groupNameKey,
  lineageKey,
  nameKey,
  objectKey,
  objectPrefix,
  packageKey,
  parseObjectKey,
  reminderKey,
  statePartKey,
} from "./keys.js";
export { ROW_CHECKS, ROW_SCHEMAS } from "./rows.js";
export type {
  ActorRow,
  GroupRow,
  JobRow,
  LineageRow,
  NameRow,
  NodeRow,
  ObjectRow,
  PackageRow,
  ReminderRow,
  ReminderSchedule,
  Rows,
  StateHead,
  StatePart,
  StateRow,
} from "./rows.js";
export { ActorStates } from "./states.js";
export type { SavedState, StateSave, StateWriter } from "./states.js";
export { BrokerLink } from "./link.js";
export { ConsumerFeed } from "./consumer-feed.js";
export type { FeedSource, MessageListener } from "./consumer-feed.js";
