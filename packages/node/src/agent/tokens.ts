/** The parts of an agent, by name. Each is made once per life of a node, by a factory in container.ts. */
import type { NatsConnection } from "@nats-io/nats-core";
import type { Transport } from "@stingray/broker";
import type { JobRow, NodeRow, Table, TableCache, Tables, NameRow } from "@stingray/gcs-kv";
import type { ReminderClock } from "@stingray/mailbox";
import type { NodeStore, Puller } from "@stingray/objectstore";
import type { BundleBook, ClusterView, LeaseScheduler, ResourceAccount } from "@stingray/scheduler";
import type { InjectionToken } from "tsyringe";
import type { ActorBook } from "../controller/actor-book.js";
import type { ActorDirectory } from "../controller/actor-directory.js";
import type { ActorHost } from "../controller/actor-host.js";
import type { ActorNames } from "../controller/actor-names.js";
import type { ActorPlacer } from "../controller/actor-placer.js";
import type { SavedStates } from "../controller/actor-states.js";
import type { ActorSleep } from "../controller/actor-sleep.js";
import type { ActorWatchers } from "../controller/actor-watchers.js";
import type { HostPool } from "../shared/host-pool.js";
import type { SpecTemplates } from "@stingray/protocol";
import type { SharedActors } from "../shared/shared-actors.js";
import type { Controller } from "../controller/controller.js";
import type { Liveness } from "../controller/liveness.js";
import type { BundleHost } from "../groups/bundle-host.js";
import type { GroupBook } from "../groups/group-book.js";
import type { GroupDirectory } from "../groups/group-directory.js";
import type { GroupKeeper } from "../groups/group-keeper.js";
import type { GroupMender } from "../groups/group-mender.js";
import type { GroupNames } from "../groups/group-names.js";
import type { GroupPlanner } from "../groups/group-planner.js";
import type { MailboxLog } from "@stingray/mailbox";
import type { MailboxFeeds } from "../mailbox/feeds.js";
import type { Mailboxes } from "../mailbox/mailboxes.js";
import type { WorkerPool } from "../pool/pool.js";
import type { ObjectPort } from "./store/data-port.js";
import type { Deaths } from "./deaths.js";
import type { Bidding } from "./bidding/mod.js";
import type { Drain } from "./drain/drain.js";
import type { Heartbeats } from "./heartbeats.js";
import type { Locations } from "./store/locations.js";
import type { Jobs } from "./jobs.js";
import type { Malformed } from "./malformed.js";
import type { Objects } from "./store/objects.js";
import type { NodeOffer } from "./offer.js";
import type { AgentConfig } from "./options.js";
import type { Outputs } from "./outputs.js";
import type { Peers } from "./peers.js";
import type { Pulls } from "./store/pulls.js";
import type { Traffic } from "./store/traffic.js";
import type { MemoryGuard } from "./vitals/memory-guard.js";
import type { Troubles } from "./vitals/troubles.js";
import type { WorkerWatch } from "./vitals/watch.js";

const token = <T>(name: string): InjectionToken<T> => Symbol(name);

/** The tables an agent uses, and the caches that follow them. */
export interface AgentTables {
  readonly store: Tables;
  readonly nodes: Table<NodeRow>;
  readonly nodeCache: TableCache<NodeRow>;
  readonly jobs: Table<JobRow>;
  readonly jobCache: TableCache<JobRow>;
  readonly names: Table<NameRow>;
}

/** Gives a part, making it on first use. */
export type Get = <T>(token: InjectionToken<T>) => T;
/** Says how a part is made. */
export type Provide = <T>(token: InjectionToken<T>, make: (get: Get) => T) => void;

/** Whether the broker is there. */
export interface ConnectionState {
  up: boolean;
}

/** Says that something went wrong which nobody waits for. */
export type Failed = (what: string, error: unknown) => void;

export const CONFIG = token<AgentConfig>("AgentConfig");
export const FAILED = token<Failed>("Failed");
export const CONNECTION_STATE = token<ConnectionState>("ConnectionState");
// Made while the agent starts, with I/O, and put in as they come up:
export const TRANSPORT = token<Transport>("Transport");
export const NODE_STORE = token<NodeStore>("NodeStore");
export const DATA_PORT = token<ObjectPort>("DataPort");
export const OFFER = token<NodeOffer>("NodeOffer");
export const BROKER = token<NatsConnection>("NatsConnection");
export const TABLES = token<AgentTables>("AgentTables");
export const ACTOR_BOOK = token<ActorBook>("ActorBook");
export const GROUP_BOOK = token<GroupBook>("GroupBook");
// Made from those by factories:
export const MALFORMED = token<Malformed>("Malformed");
export const PEERS = token<Peers>("Peers");
export const POOL = token<WorkerPool>("WorkerPool");
export const OUTPUTS = token<Outputs>("Outputs");
export const ACCOUNT = token<ResourceAccount>("ResourceAccount");
export const VIEW = token<ClusterView>("ClusterView");
export const BIDDING = token<Bidding>("Bidding");
export const SCHEDULER = token<LeaseScheduler>("LeaseScheduler");
export const LIVENESS = token<Liveness>("Liveness");
export const HEARTBEATS = token<Heartbeats>("Heartbeats");
export const DEATHS = token<Deaths>("Deaths");
export const DRAIN = token<Drain>("Drain");
export const TRAFFIC = token<Traffic>("Traffic");
export const PULLER = token<Puller>("Puller");
export const PULLS = token<Pulls>("Pulls");
export const LOCATIONS = token<Locations>("Locations");
export const OBJECTS = token<Objects>("Objects");
export const JOBS = token<Jobs>("Jobs");
export const TROUBLES = token<Troubles>("Troubles");
export const WORKER_WATCH = token<WorkerWatch>("WorkerWatch");
export const MEMORY_GUARD = token<MemoryGuard>("MemoryGuard");
export const ACTOR_NAMES = token<ActorNames>("ActorNames");
export const CLOCK = token<ReminderClock>("ReminderClock");
export const ACTOR_STATES = token<SavedStates>("SavedStates");
export const ACTOR_SLEEP = token<ActorSleep>("ActorSleep");
export const MAILBOX_LOG = token<MailboxLog>("MailboxLog");
export const MAILBOXES = token<Mailboxes>("Mailboxes");
export const MAILBOX_FEEDS = token<MailboxFeeds>("MailboxFeeds");
export const ACTOR_WATCHERS = token<ActorWatchers>("ActorWatchers");
export const ACTOR_DIRECTORY = token<ActorDirectory>("ActorDirectory");
export const ACTOR_PLACER = token<ActorPlacer>("ActorPlacer");
export const ACTOR_HOST = token<ActorHost>("ActorHost");
export const SHARED_HOSTS = token<HostPool>("SharedHosts");
/** Of actors that live with others. */
export const SPEC_TEMPLATES = token<SpecTemplates>("SpecTemplates");
export const SHARED_ACTORS = token<SharedActors>("SharedActors");
export const CONTROLLER = token<Controller>("Controller");
export const BUNDLES = token<BundleBook>("BundleBook");
export const BUNDLE_HOST = token<BundleHost>("BundleHost");
export const GROUP_NAMES = token<GroupNames>("GroupNames");
export const GROUP_DIRECTORY = token<GroupDirectory>("GroupDirectory");
export const GROUP_PLANNER = token<GroupPlanner>("GroupPlanner");
export const GROUP_KEEPER = token<GroupKeeper>("GroupKeeper");
export const GROUP_MENDER = token<GroupMender>("GroupMender");
