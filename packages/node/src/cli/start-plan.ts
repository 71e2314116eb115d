/** What `stingray start` was asked for, as plain data: it travels to the background process of `--detach`. */
import type { BrokerOptions } from "@stingray/broker/connect";
import { newNodeId, type NodeId } from "@stingray/protocol";
import { prepareSpillDir } from "../agent/spill-dir.js";
import { machineCapacity } from "../machine.js";
import { brokerOptionsOf, type ConnectionFlags } from "./connection-options.js";

/** As commander hands them over. */
export interface StartFlags extends ConnectionFlags {
  port: number;
  cluster: string;
  subjectRoot: string;
  cpus?: number;
  gpus?: number;
  memory?: number;
  resources?: Record<string, number>;
  labels?: Record<string, string>;
  objectStoreMemory?: number;
  spillDir?: string;
  spillLimit?: number;
  dataHost?: string;
  dataPort: number;
  replicas: number;
  links: "auto" | "nats";
  /** Seconds. */
  drain: number;
  detach?: boolean;
}

export interface StartPlan {
  /** Of the first life of the node: the log file is named after it. */
  node: NodeId;
  /** The broker to join, or a nats-server of the node's own. */
  broker: { kind: "join"; options: BrokerOptions } | { kind: "own"; port: number; token: string | undefined };
  cluster: string;
  subjectRoot: string;
  runtimeDir: string;
  links: "auto" | "nats";
  replicas: number;
  cpus: number;
  /** Undefined: those that the agent finds. */
  gpus: number | undefined;
  memory: number;
  objectStoreMemory: number;
  /** Absolute. */
  spillDir: string;
  /** Bytes; undefined: what leaves 5 % of the disk free. */
  spillLimit: number | undefined;
  /** Undefined: all addresses. */
  dataHost: string | undefined;
  /** 0: a free one. */
  dataPort: number;
  resources: Record<string, number>;
  labels: Record<string, string>;
  /** Work may end, and objects and actors move, for so long when the node is told to end. Milliseconds. */
  drainMs: number;
  logFile?: string | undefined;
  /** Another main program of the agent, for tests. */
  agentMain?: string | undefined;
}

/** Makes the spill directory if it is missing. @throws InvalidOptionError */
export function planStart(flags: StartFlags, runtimeDir: string): StartPlan {
  const join = brokerOptionsOf(flags);
  const machine = machineCapacity();
  return {
    node: newNodeId(),
    broker:
      join === undefined
        ? { kind: "own", port: flags.port, token: flags.token }
        : { kind: "join", options: join },
    cluster: flags.cluster,
    subjectRoot: flags.subjectRoot,
    runtimeDir,
    links: flags.links,
    replicas: flags.replicas,
    cpus: flags.cpus ?? machine.cpus,
    gpus: flags.gpus,
    memory: flags.memory ?? machine.memory,
    objectStoreMemory: flags.objectStoreMemory ?? machine.objectStoreMemory,
    spillDir: prepareSpillDir(flags.spillDir),
    spillLimit: flags.spillLimit,
    dataHost: flags.dataHost,
    dataPort: flags.dataPort,
    resources: flags.resources ?? {},
    labels: flags.labels ?? {},
    drainMs: flags.drain * 1000,
  };
}
