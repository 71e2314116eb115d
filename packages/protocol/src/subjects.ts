/**
 * Every NATS subject, bucket and stream name, in one place. A subject is
 * `<root>.v1.<cluster>.<plane>.…`; `root` can be changed for estates where `st` is taken.
 */
import { InvalidOptionError } from "./errors.js";
import type { ActorId, JobId, NodeId, ProcessId } from "./ids.js";

/** Version of everything on the wire: frames, messages, tables. Peers of another version are refused. */
export const PROTOCOL_VERSION = 1;

export const DEFAULT_SUBJECT_ROOT = "st";
export const DEFAULT_CLUSTER = "default";

/** The tables of the control store; each is one key-value bucket. */
export const TABLES = [
  "nodes",
  "jobs",
  "actors",
  "names",
  "groups",
  "objects",
  "lineage",
  "packages",
  "states",
  "reminders",
] as const;
export type TableName = (typeof TABLES)[number];

const TOKEN = /^[A-Za-z0-9_-]{1,64}$/;

/** Where an endpoint receives frames: a process's inbox or an actor's mailbox. */
export type EndpointId = ProcessId | ActorId;

export class Subjects {
  readonly root: string;
  readonly cluster: string;
  private readonly prefix: string;

  /**
   * @param root first token or tokens of every subject. Default `st`
   * @param cluster several clusters may share one broker. Default `default`
   * @throws InvalidOptionError where either is not made of `[A-Za-z0-9_-]` (the root may have dots)
   */
  constructor(root: string = DEFAULT_SUBJECT_ROOT, cluster: string = DEFAULT_CLUSTER) {
    if (!root.split(".").every((token) => TOKEN.test(token))) {
      throw new InvalidOptionError(
        `subjectRoot: "${root}" must be tokens of letters, digits, _ and -, joined by dots`,
      );
    }
    if (!TOKEN.test(cluster)) {
      throw new InvalidOptionError(`cluster: "${cluster}" must be 1 to 64 letters, digits, _ or -`);
    }
    this.root = root;
    this.cluster = cluster;
    this.prefix = `${root}.v${PROTOCOL_VERSION}.${cluster}`;
  }

  /** `st.v1.default.p.<process>` or `….a.<actor>`: where frames for an endpoint are published. */
  endpoint(id: EndpointId): string {
    return id.startsWith("a") ? this.mailbox(id as ActorId) : this.process(id as ProcessId);
  }
  /** `st.v1.default.p.<process>`: a process's inbox. */
  process(id: ProcessId): string {
    return `${this.prefix}.p.${id}`;
  }
  /** `st.v1.default.a.<actor>`: an actor's mailbox. */
  mailbox(id: ActorId): string {
    return `${this.prefix}.a.${id}`;
  }
  /** `st.v1.default.m.<actor>`: the calls of an actor with a durable mailbox, kept by the stream {@link mailboxStream}. */
  durableMailbox(id: ActorId): string {
    return `${this.prefix}.m.${id}`;
  }
  /** `st.v1.default.x.<actor>`: its calls that were set aside, kept by the same stream. */
  setAside(id: ActorId): string {
    return `${this.prefix}.x.${id}`;
  }
  /** `st.v1.default.m.*` and `st.v1.default.x.*`: all that the stream of durable mailboxes keeps. */
  durableMailboxes(): string[] {
    return [`${this.prefix}.m.*`, `${this.prefix}.x.*`];
  }
  /** `st.v1.default.r.<from>.<to>`: the reply subject of frames; the server's "no responders" comes back on it. */
  noResponder(from: EndpointId, to: EndpointId): string {
    return `${this.prefix}.r.${from}.${to}`;
  }
  /** `st.v1.default.r.<from>.*` */
  noResponders(from: EndpointId): string {
    return `${this.prefix}.r.${from}.*`;
  }
  /** `st.v1.default.s.<class>`: requests for a resource class, in the queue group {@link SCHEDULERS}. */
  capability(resourceClass: string): string {
    return `${this.prefix}.s.${encodeToken(resourceClass)}`;
  }
  /** `st.v1.default.d.<class>`: news of room, for those who wait for a resource class, in the queue group {@link SCHEDULERS}. */
  demand(resourceClass: string): string {
    return `${this.prefix}.d.${encodeToken(resourceClass)}`;
  }
  /** `st.v1.default.n.<node>`: a node agent, by node. */
  node(id: NodeId): string {
    return `${this.prefix}.n.${id}`;
  }
  /** `st.v1.default.n.<node>.r.<number>`: where a node agent waits for the answer to one of its plain requests. */
  nodeAnswer(id: NodeId, request: number): string {
    return `${this.prefix}.n.${id}.r.${request}`;
  }
  /** `st.v1.default.n.<node>.r.*` */
  nodeAnswers(id: NodeId): string {
    return `${this.prefix}.n.${id}.r.*`;
  }
  /** `st.v1.default.o.<node>`: locations of large objects on a node. */
  objects(id: NodeId): string {
    return `${this.prefix}.o.${id}`;
  }
  /** `st.v1.default.o.*` */
  allObjects(): string {
    return `${this.prefix}.o.*`;
  }
  /** `st.v1.default.feed.heartbeat.<node>`: liveness and standing bids. Loss is allowed. */
  heartbeat(id: NodeId): string {
    return `${this.prefix}.feed.heartbeat.${id}`;
  }
  /** `st.v1.default.feed.heartbeat.*` */
  heartbeats(): string {
    return `${this.prefix}.feed.heartbeat.*`;
  }
  /** `st.v1.default.feed.census`: every agent answers with its heartbeat, for clusters in which nobody hears all of them. */
  census(): string {
    return `${this.prefix}.feed.census`;
  }
  /** `st.v1.default.feed.death`: processes and nodes that ended. Loss is allowed: links notice by themselves, later. */
  deaths(): string {
    return `${this.prefix}.feed.death`;
  }
  /** `st.v1.default.feed.log.<job>`: output of workers, for observers. */
  log(id: JobId): string {
    return `${this.prefix}.feed.log.${id}`;
  }
  /** `st.v1.default.feed.event.<kind>`: what happened, for observers. */
  event(kind: string): string {
    return `${this.prefix}.feed.event.${encodeToken(kind)}`;
  }
  /** Everything of this cluster: `st.v1.default.>`. */
  everything(): string {
    return `${this.prefix}.>`;
  }
  /** `st_v1_default_<table>`: the key-value bucket of a table. */
  bucket(table: TableName): string {
    return this.stored(table);
  }
  /** `st_v1_default_mailbox`: the stream of all durable mailboxes. */
  mailboxStream(): string {
    return this.stored("mailbox");
  }
  private stored(what: string): string {
    return `${this.root.replaceAll(".", "_")}_v${PROTOCOL_VERSION}_${this.cluster}_${what}`;
  }
}

/** Queue group of the agents on the capability subjects. */
export const SCHEDULERS = "schedulers";

/** A subject token or key part for any text: what is not `[A-Za-z0-9_-]` becomes `=XX`, its bytes in hexadecimal. */
export function encodeToken(text: string): string {
  if (TOKEN.test(text)) return text;
  let token = "";
  for (const byte of Buffer.from(text, "utf8")) {
    const char = String.fromCharCode(byte);
    token += /[A-Za-z0-9_-]/.test(char) ? char : `=${byte.toString(16).padStart(2, "0")}`;
  }
  return token === "" ? "=" : token;
}

/** The inverse of {@link encodeToken}. */
export function decodeToken(token: string): string {
  if (token === "=") return "";
  const bytes: number[] = [];
  for (let i = 0; i < token.length; i++) {
    if (token[i] === "=") {
      bytes.push(Number.parseInt(token.slice(i + 1, i + 3), 16));
      i += 2;
    } else bytes.push(token.charCodeAt(i));
  }
  return Buffer.from(bytes).toString("utf8");
}
