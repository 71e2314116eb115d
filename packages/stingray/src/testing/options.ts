/** What a test says of the cluster that it wants. */
import type { AgentOptions } from "@stingray/node";
import {
  amount,
  checkOptions,
  choice,
  optionBool,
  type OptionRule,
  type OptionRules,
} from "@stingray/protocol";
import { checkInitOptions, type InitOptions, type NodeOptions } from "../init-options.js";
import type { TestBroker } from "./broker.js";

/** Of `init()`, those that say what the cluster and this job are. What is left out is small: a test is not a benchmark. */
export interface TestClusterOptions extends Pick<
  InitOptions,
  "cluster" | "subjectRoot" | "namespace" | "runtimeEnv" | "logToDriver" | "links"
> {
  /** How many nodes, or what each has over and above the options beside it. @defaultValue 1 */
  nodes?: number | NodeOptions[] | undefined;
  /** Of each node. @defaultValue 2 */
  cpus?: number | undefined;
  /** Of each node. @defaultValue 0: none are looked for */
  gpus?: number | undefined;
  /** Of each node, bytes. @defaultValue 1 GiB */
  memory?: number | undefined;
  /** Of each node. @defaultValue none */
  resources?: Record<string, number> | undefined;
  /** Of each node. @defaultValue none */
  labels?: Record<string, string> | undefined;
  /** Of each node, bytes. @defaultValue 64 MiB */
  objectStoreMemory?: number | undefined;
  /** Of each node. @defaultValue a directory that goes with the cluster */
  spillDir?: string | undefined;
  /**
   * Whether this process is a driver: on its first node (`"local"`), as from a machine without a node (`"remote"`), or
   * not at all (false), for other programs to use the cluster. @defaultValue "local"
   */
  driver?: "local" | "remote" | false | undefined;
  /**
   * Nodes and driver reach the broker through a gate each, so that their line can be cut and slowed down. Costs each
   * message through the broker some 0.1 ms. @defaultValue false
   */
  gates?: boolean | undefined;
  /**
   * Where the broker keeps the tables: those in files are still there after its restart. With `"memory"`
   * `broker.kill()` and `restart()` are refused. @defaultValue "file"
   */
  storage?: "memory" | "file" | undefined;
  /** That of another test cluster, to share it; give `cluster` another name then. @defaultValue one of its own */
  broker?: TestBroker | undefined;
  /** Milliseconds between the heartbeats of a node. @defaultValue 1000 */
  heartbeatMs?: number | undefined;
  /** A node that was silent for so long is declared dead, in milliseconds. @defaultValue 5000 */
  deadAfterMs?: number | undefined;
  /**
   * Reminders and delayed calls go by a clock that stands at this time, in milliseconds since 1970 or as a Date, until
   * `cluster.clock.advance()`. @defaultValue the machine's clock
   */
  clock?: number | Date | undefined;
  /** Further options of every agent, for tests of Stingray itself. @defaultValue none */
  agent?: Partial<AgentOptions> | undefined;
  /** Told what agents say of themselves, line by line. @defaultValue dropped, but shown where a node does not start */
  log?: ((line: string) => void) | undefined;
}

const anything: OptionRule = () => undefined;

const OWN_RULES: OptionRules = {
  driver: (v) =>
    ["local", "remote", false].includes(v as string) ? undefined : '"local", "remote" or false',
  gates: optionBool,
  storage: choice("memory", "file"),
  broker: anything,
  heartbeatMs: amount,
  deadAfterMs: amount,
  clock: (v) =>
    Number.isFinite(typeof v === "number" ? v : v instanceof Date ? v.getTime() : undefined)
      ? undefined
      : "milliseconds since 1970 or a Date",
  agent: anything,
  log: anything,
};

/** @throws InvalidOptionError naming what is not known, or makes no sense */
export function checkTestOptions(o: TestClusterOptions): void {
  const known = {
    ...OWN_RULES,
    ...Object.fromEntries(INIT_OPTIONS.map((name) => [name, anything])),
  };
  checkOptions("testCluster()", known, o);
  checkInitOptions(initOptionsOf(o));
}

const INIT_OPTIONS = [
  "cluster",
  "subjectRoot",
  "namespace",
  "runtimeEnv",
  "logToDriver",
  "links",
  "nodes",
  "cpus",
  "gpus",
  "memory",
  "resources",
  "labels",
  "objectStoreMemory",
  "spillDir",
] as const;

/** Those that `init()` has, too, with the defaults of tests. */
export function initOptionsOf(o: TestClusterOptions): InitOptions {
  const given = INIT_OPTIONS.filter((name) => o[name] !== undefined).map((name) => [name, o[name]]);
  return {
    cpus: 2,
    gpus: 0,
    memory: 2 ** 30,
    objectStoreMemory: 64 * 2 ** 20,
    logToDriver: false,
    ...(Object.fromEntries(given) as InitOptions),
  };
}
