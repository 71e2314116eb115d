/** The options of tasks, actors, methods and environments: their types, rules and defaults. The one list of them. */
import {
  abortSignal,
  amount,
  amounts,
  choice,
  count,
  finiteNumber,
  gpuAmount,
  mapOfRule,
  milliseconds,
  millisecondsAhead,
  nested,
  optionBool,
  optionText,
  positiveCount,
  positiveWhole,
  textList,
  texts,
  wholeNumber,
  type OptionRule,
  type OptionRules,
} from "./option-check.js";
import { isGroupId } from "./ids.js";
import { GROUP_STRATEGIES, type GroupStrategy } from "./messages/groups.js";
import type { RuntimeEnvSpec, SchedulingSpec, Shape } from "./messages/leases.js";

/** Logical resources: what is asked for is reserved on a node, not enforced there. */
export interface Resources {
  /** CPUs, in steps of 0.0001. @defaultValue 1 for tasks; for actors 1 while placed and 0 while running */
  cpus?: number | undefined;
  /** GPUs: a fraction below 1, or a whole number. The worker sees exactly its own in CUDA_VISIBLE_DEVICES. @defaultValue 0 */
  gpus?: number | undefined;
  /**
   * Bytes of memory to reserve. A worker that uses more is told of, and ended first when memory gets short; see
   * STINGRAY_MEMORY_LIMITS for more. @defaultValue 0
   */
  memory?: number | undefined;
  /** Resources that nodes declare, by name, in steps of 0.0001. @defaultValue none */
  resources?: Record<string, number> | undefined;
}

/** What `scheduling` needs to know of a placement group. */
export interface PlacementGroupHandle {
  readonly id: string;
  /** What each reserves. */
  readonly bundles: readonly Resources[];
}

/**
 * `"spread"`: over the nodes evenly. `{ node }`: on that node; `soft` allows others where it can't be.
 * `{ placementGroup }`: in a bundle of the group, `bundle` (by index) or any that has room; `capture`: the tasks and
 * actors that it submits go to the group, too, unless they say otherwise (default false).
 */
export type Scheduling =
  | "default"
  | "spread"
  | { node: string; soft?: boolean | undefined }
  | { placementGroup: PlacementGroupHandle; bundle?: number | undefined; capture?: boolean | undefined };

/** Of a placement group. */
export interface PlacementGroupOptions {
  /**
   * `"PACK"`: as few nodes as possible. `"SPREAD"`: different nodes where there are enough. `"STRICT_PACK"`: one node.
   * `"STRICT_SPREAD"`: all on different nodes. The strict ones wait where that can't be. @defaultValue "PACK"
   */
  strategy?: GroupStrategy | undefined;
  /** Finds it with `getPlacementGroup`; unique in its namespace. @defaultValue none */
  name?: string | undefined;
  /** Where its name is unique. @defaultValue the job's */
  namespace?: string | undefined;
  /** `"detached"`: outlives its job, until `remove()`. @defaultValue "job" */
  lifetime?: "job" | "detached" | undefined;
}
/** Labels that a node must have: `"value"`, `"!value"`, `"in(a,b)"`, `"!in(a,b)"`. */
export type LabelSelector = Record<string, string>;

/** Settings of the worker processes; each distinct environment has workers of its own. */
export interface RuntimeEnv {
  /** Environment variables, on top of the node agent's. @defaultValue none */
  envVars?: Record<string, string> | undefined;
  /**
   * Working directory of workers. Given to `init()`, it is also the job's root: what the paths of modules, of `setup`
   * and of every other `workingDir` are relative to; itself it is relative to the driver's directory, and must be there
   * on every node under the same path. Given to a task or an actor, it is relative to the job's root and only changes
   * where its workers run, not where modules are found.
   * @defaultValue for `init()` the driver's directory, for tasks and actors the job's root
   */
  workingDir?: string | undefined;
  /** Node flags, for example `["--import", "tsx"]`. @defaultValue the driver's */
  execArgv?: string[] | undefined;
  /**
   * A module (path relative to the job's root, see `workingDir`, or URL) whose default export is called with the worker's container once,
   * before anything else runs. @defaultValue none
   */
  setup?: string | undefined;
}

/** A class of errors, as `retryOn` names them. */
export type ErrorClass = abstract new (...args: never[]) => Error;
/** Which errors of user code are tried again. The function form runs in the submitting process. */
export type RetryOn = boolean | readonly ErrorClass[] | ((error: unknown) => boolean);

/** Of a remote function, in `remote(options, fn)` or `.options()`, the latter for the calls made on what it returns. */
export interface TaskOptions extends Resources {
  /** Name of the function on the wire and in logs. @defaultValue the function's own */
  name?: string | undefined;
  /** Number of results; each has a reference of its own, and the function returns an array of that length. @defaultValue 1 */
  returns?: number | undefined;
  /** How often the task is run again after its worker or node was lost. May be Infinity. @defaultValue 3 */
  maxRetries?: number | undefined;
  /** Errors of user code after which it is run again, within maxRetries. @defaultValue false */
  retryOn?: RetryOn | undefined;
  /** Milliseconds that one attempt may take from its start. @defaultValue no limit */
  timeoutMs?: number | undefined;
  /** Higher goes first. @defaultValue 0 */
  priority?: number | undefined;
  /** Where it may run. @defaultValue "default": near its submitter while there is room, packed up to half of a node, then spread */
  scheduling?: Scheduling | undefined;
  /** Labels that its node must have; all of them. @defaultValue any node */
  labels?: LabelSelector | undefined;
  /** On top of the job's: variables are merged, other fields replace it. @defaultValue the job's */
  runtimeEnv?: RuntimeEnv | undefined;
  /** A worker ends after it has run the function this often. @defaultValue no limit */
  maxCalls?: number | undefined;
  /** Items of a stream that may be unread before the producer pauses. @defaultValue no limit */
  backpressure?: number | undefined;
}

/** Of an actor, in `@actor`, `remote(options, Class)` or `.options()`; later ones win. */
export interface ActorOptions extends Resources {
  /** Finds it with `getActor`; unique in its namespace. @defaultValue none */
  name?: string | undefined;
  /** Where its name is unique. @defaultValue the job's */
  namespace?: string | undefined;
  /** `"detached"`: outlives its job, until `kill`. @defaultValue "job" */
  lifetime?: "job" | "detached" | undefined;
  /** Returns the actor of that name where there is one. Needs a name. @defaultValue false */
  getIfExists?: boolean | undefined;
  /** How often it comes back after its process was lost. May be Infinity. @defaultValue 0; Infinity with a durable mailbox */
  maxRestarts?: number | undefined;
  /** How often a call is sent again after the actor was lost. 0 is at most once. @defaultValue 0 */
  maxTaskRetries?: number | undefined;
  /** Calls of one process that may wait before PendingCallsLimitError. @defaultValue Infinity */
  maxPendingCalls?: number | undefined;
  /** Calls that may run at the same time. @defaultValue 1 */
  maxConcurrency?: number | undefined;
  /** Calls that may run at the same time in each named group, apart from maxConcurrency. @defaultValue no groups */
  concurrencyGroups?: Record<string, number> | undefined;
  /**
   * `"durable"`: its calls are kept on the broker until they have run: they outlive their caller, the actor's process and
   * the broker, and run in order. @defaultValue "memory"
   */
  mailbox?: "memory" | "durable" | undefined;
  /**
   * Of an actor with a durable mailbox: without calls for so many milliseconds it is saved and put to sleep, until the
   * next call or reminder. @defaultValue 600,000 where its class has `snapshot` and `restore`, else Infinity
   */
  passivateAfterMs?: number | undefined;
  /**
   * `"shared"`: it lives in one process with many others, which makes it cheap; it holds no resources, and whoever blocks
   * or ends the process does so for all of them. @defaultValue "process": a process of its own
   */
  isolation?: "process" | "shared" | undefined;
  /** Where it may run. @defaultValue "default": packed up to half of a node, then spread */
  scheduling?: Scheduling | undefined;
  /** Labels that its node must have; all of them. @defaultValue any node */
  labels?: LabelSelector | undefined;
  /** On top of the job's: variables are merged, other fields replace it. @defaultValue the job's */
  runtimeEnv?: RuntimeEnv | undefined;
}

/** Options of one method (in `@method`) or one call (in `.options()`). */
export interface MethodOptions {
  /** Runs beside other shared methods, never beside the others. @defaultValue false */
  shared?: boolean | undefined;
  /** One of the actor's `concurrencyGroups`. @defaultValue the default group, with `maxConcurrency` */
  concurrencyGroup?: string | undefined;
  /** Number of results, as in {@link TaskOptions}. @defaultValue 1; generators give a stream */
  returns?: number | undefined;
  /** How often the call is sent again after the actor was lost, and repeated by `retryOn`. @defaultValue the actor's */
  maxTaskRetries?: number | undefined;
  /** Errors of the method after which it is called again, within maxTaskRetries. @defaultValue false */
  retryOn?: RetryOn | undefined;
}
/** Of one call: `handle.method.options({ … }).remote(…)`. */
export interface CallOptions extends Omit<MethodOptions, "shared"> {
  /** Cancels the call when it aborts. @defaultValue none */
  signal?: AbortSignal | undefined;
  /** Milliseconds that one attempt may take from its start. @defaultValue no limit */
  timeoutMs?: number | undefined;
  /** Items of a stream that may be unread before the method pauses. @defaultValue no limit */
  backpressure?: number | undefined;
  /** Of an actor with a durable mailbox: the call is delivered so many milliseconds after it was made. @defaultValue 0 */
  delayMs?: number | undefined;
  /**
   * Of an actor with a durable mailbox: names the call, so that of any number of calls with this id one runs, whoever makes
   * them. @defaultValue one of its own
   */
  callId?: string | undefined;
}

const retryOn: OptionRule = (v) =>
  typeof v === "boolean" ||
  typeof v === "function" ||
  (Array.isArray(v) && v.every((c) => typeof c === "function"))
    ? undefined
    : "true, false, a list of error classes, or a function of the error";
const placementGroup: OptionRule = (v) =>
  typeof v === "object" && v !== null && isGroupId((v as { id?: unknown }).id)
    ? undefined
    : "a placement group, as placementGroup() returns it";
const inGroup: OptionRule = (v) => {
  const wanted = nested({ placementGroup, bundle: wholeNumber, capture: optionBool })(v);
  if (wanted !== undefined) return wanted;
  const { placementGroup: group, bundle } = v as Extract<Scheduling, { placementGroup: unknown }>;
  if (group === undefined) return "an object whose placementGroup is a placement group";
  const { length } = group.bundles;
  return bundle === undefined || bundle < length
    ? undefined
    : `an object whose bundle is one of the group's, 0 to ${length - 1}`;
};
const scheduling: OptionRule = (v) => {
  if (v === "default" || v === "spread") return undefined;
  if (typeof v !== "object" || v === null)
    return `"default", "spread", { node, soft? } or { placementGroup, bundle?, capture? }`;
  return "placementGroup" in v ? inGroup(v) : nested({ node: optionText, soft: optionBool })(v);
};
export const RUNTIME_ENV_RULES: OptionRules = {
  envVars: texts,
  workingDir: optionText,
  execArgv: textList,
  setup: optionText,
};

const RESOURCE_RULES: OptionRules = { cpus: amount, gpus: gpuAmount, memory: amount, resources: amounts };
export const TASK_RULES: OptionRules = {
  ...RESOURCE_RULES,
  name: optionText,
  returns: wholeNumber,
  maxRetries: count,
  retryOn,
  timeoutMs: milliseconds,
  priority: finiteNumber,
  scheduling,
  labels: texts,
  runtimeEnv: nested(RUNTIME_ENV_RULES),
  maxCalls: positiveWhole,
  backpressure: positiveWhole,
};
export const ACTOR_RULES: OptionRules = {
  ...RESOURCE_RULES,
  name: optionText,
  namespace: optionText,
  lifetime: choice("job", "detached"),
  getIfExists: optionBool,
  maxRestarts: count,
  maxTaskRetries: count,
  maxPendingCalls: positiveCount,
  maxConcurrency: positiveWhole,
  concurrencyGroups: mapOfRule(positiveWhole, "a whole number from 1"),
  mailbox: choice("memory", "durable"),
  passivateAfterMs: milliseconds,
  isolation: choice("process", "shared"),
  scheduling,
  labels: texts,
  runtimeEnv: nested(RUNTIME_ENV_RULES),
};
/** Of one bundle of a placement group. */
export const BUNDLE_RULES: OptionRules = RESOURCE_RULES;
export const GROUP_RULES: OptionRules = {
  strategy: choice(...GROUP_STRATEGIES),
  name: optionText,
  namespace: optionText,
  lifetime: choice("job", "detached"),
};
export const METHOD_RULES: OptionRules = {
  shared: optionBool,
  concurrencyGroup: optionText,
  returns: wholeNumber,
  maxTaskRetries: count,
  retryOn,
};
export const CALL_RULES: OptionRules = {
  concurrencyGroup: optionText,
  returns: wholeNumber,
  maxTaskRetries: count,
  retryOn,
  signal: abortSignal,
  timeoutMs: milliseconds,
  backpressure: positiveWhole,
  delayMs: millisecondsAhead,
  callId: optionText,
};

export const DEFAULT_TASK_CPUS = 1;
export const DEFAULT_MAX_RETRIES = 3;

/** The resources of a request under their names on the wire; zero amounts are left out. */
export function resourceMap(o: Resources, defaultCpus: number): Record<string, number> {
  const map: Record<string, number> = {};
  const set = (name: string, value: number | undefined): void => {
    if (value !== undefined && value > 0) map[name] = Math.round(value * 10_000) / 10_000;
  };
  set("CPU", o.cpus ?? defaultCpus);
  set("GPU", o.gpus);
  set("memory", o.memory);
  for (const [name, value] of Object.entries(o.resources ?? {})) set(name, value);
  return map;
}

/** How a place is asked for on the wire; undefined where any will do. */
export function schedulingSpec(s: Scheduling | undefined): SchedulingSpec | undefined {
  if (s === undefined || s === "default") return undefined;
  if (s === "spread") return { kind: "spread" };
  if ("node" in s) return { kind: "node", node: s.node, soft: s.soft ?? false };
  return {
    kind: "group",
    group: s.placementGroup.id,
    bundle: s.bundle ?? -1,
    capture: s.capture ?? false,
  };
}

/**
 * What a worker must offer for a task or actor with these options. Absent fields are left out, so that equal shapes
 * encode alike.
 * @param captured the placement group that has captured the submitter; default none
 */
export function shapeOf(
  o: Pick<TaskOptions, keyof Resources | "scheduling" | "labels" | "runtimeEnv" | "priority" | "maxCalls">,
  defaultCpus: number,
  captured?: string,
): Shape {
  const shape: Shape = { resources: resourceMap(o, defaultCpus) };
  const env = runtimeEnvOf(o.runtimeEnv);
  if (env !== undefined) shape.runtimeEnv = env;
  const where =
    captured !== undefined && o.scheduling === undefined
      ? ({ kind: "group", group: captured, bundle: -1, capture: true } as const)
      : schedulingSpec(o.scheduling);
  if (where !== undefined) shape.scheduling = where;
  if (o.labels !== undefined) shape.labels = o.labels;
  if (o.priority !== undefined && o.priority !== 0) shape.priority = o.priority;
  if (o.maxCalls !== undefined) shape.maxCalls = o.maxCalls;
  return shape;
}

function runtimeEnvOf(env: RuntimeEnv | undefined): RuntimeEnvSpec | undefined {
  if (env === undefined) return undefined;
  const given = Object.entries(env).filter(([, value]) => value !== undefined);
  return given.length === 0 ? undefined : Object.fromEntries(given);
}

/** Counts on the wire: Infinity is -1. */
export const countOnWire = (n: number): number => (n === Infinity ? -1 : n);
export const countFromWire = (n: number): number => (n < 0 ? Infinity : n);
