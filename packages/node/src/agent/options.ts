/** What a node agent is told, and what it makes of it. */
import { hostname } from "node:os";
import { join } from "node:path";
import type { BrokerOptions } from "@stingray/broker/connect";
import {
  DEFAULT_CLUSTER,
  DEFAULT_SUBJECT_ROOT,
  InvalidOptionError,
  Subjects,
  newAgentId,
  newNodeId,
  newSecret,
  type JobSpec,
  type NodeId,
  type ProcessId,
} from "@stingray/protocol";
import type { GpuShare } from "../gpu/node-gpus.js";
import { machineCapacity } from "../machine.js";
import { runtimeRoot } from "../runtime-files.js";
import type { StandingLimits } from "./bidding/mod.js";
import { advertisedHosts, boundHost } from "./data-hosts.js";
import { prepareSpillDir } from "./spill-dir.js";

export interface AgentOptions {
  broker: BrokerOptions;
  /** Id of the node. @defaultValue a new one; a rejoining agent always takes a new one */
  node?: NodeId | undefined;
  /** @defaultValue "st" */
  subjectRoot?: string | undefined;
  /** @defaultValue "default" */
  cluster?: string | undefined;
  /** @defaultValue the number of processors that this process may use */
  cpus?: number | undefined;
  /** @defaultValue the NVIDIA devices of this machine, within CUDA_VISIBLE_DEVICES */
  gpus?: number | undefined;
  /** Which of them, where nodes of one program share the machine. @defaultValue all */
  gpuShare?: GpuShare | undefined;
  /** Bytes that tasks may declare. @defaultValue half of the machine's memory */
  memory?: number | undefined;
  /** Further resources, for example `{ special: 2 }`. */
  resources?: Record<string, number> | undefined;
  /** `accelerator-type` is set by the GPUs unless it is given. */
  labels?: Record<string, string> | undefined;
  /** Bytes. @defaultValue 30 % of the machine's memory, or what shared memory has free */
  objectStoreMemory?: number | undefined;
  /** Objects that don't fit into memory go there; made if it is missing. @defaultValue the system's directory for temporary files */
  spillDir?: string | undefined;
  /** Bytes that they may take there; 0: nothing is written to disk. @defaultValue what leaves 5 % of the disk free */
  spillLimit?: number | undefined;
  /** Address that the data port is bound to, and under which others look for it. @defaultValue all; embedded 127.0.0.1 */
  dataHost?: string | undefined;
  /** Of the data port, over which objects travel between nodes. @defaultValue 0: a free one */
  dataPort?: number | undefined;
  /** The cluster is inside a program, all of it on this machine. @defaultValue false */
  embedded?: boolean | undefined;
  /** Where the tables lie in the broker, if this agent is the first to make them. @defaultValue "file" */
  storage?: "file" | "memory" | undefined;
  /** Copies of the tables in a broker cluster. @defaultValue 1 */
  replicas?: number | undefined;
  /** Sockets and logs go below it. @defaultValue `runtimeRoot()` */
  runtimeDir?: string | undefined;
  /** "nats" puts everything on the broker. @defaultValue "auto" */
  links?: "auto" | "nats" | undefined;
  /** Workers kept ready for the next job. @defaultValue `cpus`, at most 4 */
  prestart?: number | undefined;
  /** Arguments of `node` for them. */
  workerExecArgv?: string[] | undefined;
  /** Another main program of workers, for tests. */
  workerMain?: string | undefined;
  /** Milliseconds between heartbeats. @defaultValue 1000 */
  heartbeatMs?: number | undefined;
  /** A node that was silent for so long is declared dead. Milliseconds. @defaultValue 5000 */
  deadAfterMs?: number | undefined;
  /** Up to how many nodes all heartbeats are heard, and of how many above. @defaultValue 32 and 8 */
  standing?: Partial<StandingLimits> | undefined;
  /** A driver whose channel broke has so long to attach again. Milliseconds. @defaultValue 3000; 0 with `job` */
  driverGraceMs?: number | undefined;
  /** The one job of an embedded cluster: workers are prepared for it before it starts. */
  job?: JobSpec | undefined;
  /** Gets a line for each thing that goes wrong and has nobody else to be told. @defaultValue none */
  log?: ((line: string) => void) | undefined;
  /** What to do when the cluster has declared this node dead: come back under a new id, or stop. @defaultValue "rejoin" */
  whenDeclaredDead?: "rejoin" | "stop" | undefined;
  /** What is here may end or move for so long when the process gets SIGTERM, in milliseconds. @defaultValue 8000 */
  drainMs?: number | undefined;
  /** The cluster's nats-server ends with this node. @defaultValue false */
  runsBroker?: boolean | undefined;
  /**
   * For tests: the clock of reminders stands still at this time, in milliseconds since 1970, until it is told to go on.
   * @defaultValue STINGRAY_TEST_CLOCK, else the machine's clock
   */
  clock?: number | undefined;
  /** The node whose agent was seen to end on this machine, and in whose place this one is: nobody need wait for its heartbeat. */
  replaces?: NodeId | undefined;
}

/** All of it, with defaults filled in. One per life of a node: a rejoining agent gets new ids. */
export interface AgentConfig {
  readonly node: NodeId;
  readonly agent: ProcessId;
  readonly subjects: Subjects;
  readonly broker: BrokerOptions;
  readonly hostname: string;
  /** But for the GPUs, which have to be looked for: see {@link NodeOffer}. */
  readonly total: Record<string, number>;
  /** Declared; undefined: what is found. */
  readonly gpus: number | undefined;
  readonly gpuShare: GpuShare | undefined;
  /** As given. */
  readonly labels: Record<string, string>;
  readonly objectStoreMemory: number;
  /** Absolute; it is there and can be written to. */
  readonly spillDir: string;
  /** Bytes; undefined: what leaves 5 % of the disk free. */
  readonly spillLimit: number | undefined;
  /** To bind the data port to; undefined: all addresses. */
  readonly dataHost: string | undefined;
  /** 0: a free one. */
  readonly dataPort: number;
  /** Where others look for it, in this order. */
  readonly advertisedHosts: readonly string[];
  readonly storage: "file" | "memory";
  readonly replicas: number;
  readonly socketDir: string;
  readonly logDir: string;
  readonly secret: string;
  readonly links: "auto" | "nats";
  readonly prestart: number;
  readonly workerExecArgv: readonly string[];
  readonly workerMain: string | undefined;
  readonly heartbeatMs: number;
  readonly deadAfterMs: number;
  readonly driverGraceMs: number;
  readonly standing: Partial<StandingLimits>;
  readonly job: JobSpec | undefined;
  readonly log: (line: string) => void;
  readonly replaces: NodeId | undefined;
  readonly runsBroker: boolean;
  /** Where the clock of reminders begins, and stands still until it is told to go on; undefined: the machine's. */
  readonly clock: number | undefined;
}

/** Makes the spill directory if it is missing. @throws InvalidOptionError naming the option that makes no sense */
export function resolveAgentOptions(o: AgentOptions): AgentConfig {
  const machine = machineCapacity();
  const cpus = amount("cpus", o.cpus ?? machine.cpus);
  const total: Record<string, number> = { CPU: cpus, memory: amount("memory", o.memory ?? machine.memory) };
  for (const [name, value] of Object.entries(o.resources ?? {})) {
    if (name === "CPU" || name === "GPU" || name === "memory") {
      throw new InvalidOptionError(
        `resources.${name}: give it as the option ${name === "memory" ? name : `${name.toLowerCase()}s`}`,
      );
    }
    total[name] = amount(`resources.${name}`, value);
  }
  const node = o.node ?? newNodeId();
  const runtimeDir = o.runtimeDir ?? runtimeRoot();
  const data = { dataHost: o.dataHost, embedded: o.embedded ?? false };
  return {
    node,
    agent: newAgentId(),
    subjects: new Subjects(o.subjectRoot ?? DEFAULT_SUBJECT_ROOT, o.cluster ?? DEFAULT_CLUSTER),
    broker: o.broker,
    hostname: hostname(),
    total,
    gpus: o.gpus === undefined ? undefined : whole("gpus", o.gpus),
    gpuShare: o.gpuShare,
    labels: o.labels ?? {},
    objectStoreMemory: whole("objectStoreMemory", o.objectStoreMemory ?? machine.objectStoreMemory),
    spillDir: prepareSpillDir(o.spillDir),
    spillLimit: o.spillLimit === undefined ? undefined : whole("spillLimit", o.spillLimit),
    dataHost: boundHost(data),
    dataPort: port("dataPort", o.dataPort ?? 0),
    advertisedHosts: advertisedHosts(data),
    storage: o.storage ?? "file",
    replicas: o.replicas ?? 1,
    socketDir: join(runtimeDir, node),
    logDir: join(runtimeDir, "logs", node),
    secret: newSecret(),
    links: o.links ?? "auto",
    prestart: whole("prestart", o.prestart ?? Math.min(4, Math.max(1, Math.floor(cpus)))),
    workerExecArgv: o.workerExecArgv ?? [],
    workerMain: o.workerMain,
    heartbeatMs: amount("heartbeatMs", o.heartbeatMs ?? 1_000),
    deadAfterMs: amount("deadAfterMs", o.deadAfterMs ?? 5_000),
    driverGraceMs: amount("driverGraceMs", o.driverGraceMs ?? (o.job === undefined ? 3_000 : 0)),
    standing: o.standing ?? {},
    job: o.job,
    log: o.log ?? (() => undefined),
    replaces: o.replaces,
    runsBroker: o.runsBroker ?? false,
    clock: o.clock ?? clockSetting(),
  };
}

/** For tests: STINGRAY_TEST_CLOCK, in milliseconds since 1970. */
function clockSetting(): number | undefined {
  const given = process.env["STINGRAY_TEST_CLOCK"];
  return given === undefined || given === "" ? undefined : amount("STINGRAY_TEST_CLOCK", Number(given));
}
function amount(name: string, value: number): number {
  if (Number.isFinite(value) && value >= 0) return value;
  throw new InvalidOptionError(`${name}: ${value} must be a number from 0`);
}
function whole(name: string, value: number): number {
  if (Number.isSafeInteger(value) && value >= 0) return value;
  throw new InvalidOptionError(`${name}: ${value} must be a whole number from 0`);
}
function port(name: string, value: number): number {
  if (Number.isSafeInteger(value) && value >= 0 && value <= 65_535) return value;
  throw new InvalidOptionError(`${name}: ${value} must be a port from 1 to 65535, or 0 for a free one`);
}
