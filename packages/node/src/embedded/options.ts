/** What an embedded cluster is made of. */
import { availableParallelism } from "node:os";
import { InvalidOptionError, newNodeId, type JobSpec } from "@stingray/protocol";
import type { AgentOptions } from "../agent/options.js";
import type { GpuShare } from "../gpu/node-gpus.js";
import { machineCapacity } from "../machine.js";

/** One node of an embedded cluster. What is left out is the machine's own, shared with the other nodes where it is memory. */
export interface EmbeddedNodeOptions {
  cpus?: number | undefined;
  gpus?: number | undefined;
  /** Bytes that tasks may declare. */
  memory?: number | undefined;
  resources?: Record<string, number> | undefined;
  labels?: Record<string, string> | undefined;
  /** Bytes. */
  objectStoreMemory?: number | undefined;
  /** Where objects go that don't fit into memory; made if it is missing. @defaultValue the system's directory for temporary files */
  spillDir?: string | undefined;
}

export interface EmbeddedOptions extends EmbeddedNodeOptions {
  /** How many nodes, or what each has over and above the options beside it. @defaultValue 1 */
  nodes?: number | EmbeddedNodeOptions[] | undefined;
  /** @defaultValue "default" */
  cluster?: string | undefined;
  /** @defaultValue "st" */
  subjectRoot?: string | undefined;
  /** Arguments of `node` for workers. @defaultValue those of the job */
  execArgv?: string[] | undefined;
  /** The driver's job: workers are prepared for it at once. Its `driverNode` is set to the first node unless given. */
  job?: JobSpec | undefined;
  /** "nats" puts everything on the broker. @defaultValue "auto" */
  links?: "auto" | "nats" | undefined;
  /** Lines for people: what is installed, what went wrong in the background. @defaultValue dropped */
  log?: ((line: string) => void) | undefined;
  /** What happened, and how many milliseconds after the call. */
  trace?: ((phase: string, ms: number) => void) | undefined;
  /** Until every node is ready, in milliseconds; the installation of a broker is not counted. @defaultValue 30000 */
  startTimeoutMs?: number | undefined;
  /** For the clean end of a node in `stop()`, in milliseconds; then it is killed. @defaultValue 5000 */
  stopTimeoutMs?: number | undefined;
  /** @defaultValue see `runtimeRoot()` */
  runtimeDir?: string | undefined;
  /** Path of a nats-server. @defaultValue found or installed */
  natsServer?: string | undefined;
  /** Further options of every agent, for tests. */
  agent?: Partial<AgentOptions> | undefined;
  /** Another main program of agents, for tests. */
  agentMain?: string | undefined;
}

/** What an agent is told before the broker is known. */
export type NodePlan = Omit<AgentOptions, "broker"> & { node: NonNullable<AgentOptions["node"]> };

const MAX_NODES = 256;

/**
 * One plan per node, each with an id of its own.
 * @throws InvalidOptionError for a number of nodes that makes no sense
 */
export function planNodes(o: EmbeddedOptions, runtimeDir: string): NodePlan[] {
  const given = o.nodes ?? 1;
  const each: readonly EmbeddedNodeOptions[] =
    typeof given === "number" ? Array.from({ length: checkCount(given) }, () => ({})) : given;
  checkCount(each.length);
  const ids = each.map(() => newNodeId());
  const job = o.job && { ...o.job, driverNode: o.job.driverNode ?? ids[0] };
  const capacity = machineCapacity(each.length);
  const gpuShares = shareGpus(each.map((own) => o.agent?.gpus ?? own.gpus ?? o.gpus));
  return each.map((own, i) => {
    const node = ids[i] ?? newNodeId();
    const gpuShare = gpuShares[i];
    return {
      ...capacity,
      ...pickNode(o),
      ...pickNode(own),
      gpuShare,
      resources: { ...o.resources, ...own.resources },
      labels: { ...o.labels, ...own.labels },
      node,
      runtimeDir,
      cluster: o.cluster,
      subjectRoot: o.subjectRoot,
      links: o.links,
      workerExecArgv: o.execArgv ?? o.job?.execArgv,
      job,
      // The broker and all it holds end with the program: nothing is gained by a disk.
      storage: "memory" as const,
      embedded: true,
      whenDeclaredDead: "stop" as const,
      // Workers beyond the processors would only slow the start down; the others begin when they are needed.
      ...(i === 0 ? {} : { prestart: each.length <= availableParallelism() ? 1 : 0 }),
      ...o.agent,
    };
  });
}

/** First those that declare how many they have, in their order; the others share what these leave. */
function shareGpus(declared: readonly (number | undefined)[]): GpuShare[] {
  const inAll = declared.reduce<number>((sum, gpus) => sum + (gpus ?? 0), 0);
  const of = declared.filter((gpus) => gpus === undefined).length;
  let before = 0;
  let part = 0;
  return declared.map((gpus) => {
    if (gpus === undefined) return { part: part++, of, before: inAll };
    before += gpus;
    return { part: 0, of: 1, before: before - gpus };
  });
}

/** The options of one node that are given; an undefined one must not hide a default. */
export function pickNode(o: EmbeddedNodeOptions): EmbeddedNodeOptions {
  const { cpus, gpus, memory, objectStoreMemory, spillDir } = o;
  const picked = { cpus, gpus, memory, objectStoreMemory, spillDir };
  return Object.fromEntries(Object.entries(picked).filter(([, value]) => value !== undefined));
}

function checkCount(nodes: number): number {
  if (Number.isSafeInteger(nodes) && nodes >= 1 && nodes <= MAX_NODES) return nodes;
  throw new InvalidOptionError(`nodes: ${nodes} must be a whole number from 1 to ${MAX_NODES}`);
}
