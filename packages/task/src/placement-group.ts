/** Placement groups: resources on one or several nodes that are reserved together, and then filled by tasks and actors. */
import { WIRE, registerWireType } from "@stingray/objectstore";
import {
  Agent,
  BUNDLE_RULES,
  ConnectionError,
  GROUP_RULES,
  InvalidArgumentError,
  InvalidOptionError,
  MAX_BUNDLES,
  ProtocolError,
  TimeoutError,
  UnschedulableError,
  checkOptions,
  describe,
  isGroupId,
  newGroupId,
  optionText,
  resourceMap,
  timerMs,
  type GroupId,
  type GroupSpec,
  type GroupStrategy,
  type GroupView,
  type NodeId,
  type PlacementGroupHandle,
  type PlacementGroupOptions,
  type Resources,
} from "@stingray/protocol";
import { runtimeFor } from "./process-state.js";
import { makingRoom } from "./ready.js";
import type { Runtime } from "./runtime.js";
import { WAIT_RULES, type WaitOptions } from "./wait-options.js";

/** A group as {@link listPlacementGroups} shows it. */
export interface PlacementGroupInfo {
  readonly id: GroupId;
  readonly name: string | undefined;
  readonly namespace: string;
  readonly strategy: GroupStrategy;
  /** PENDING: not reserved yet. CREATED: all is. RESCHEDULING: part of it was lost and is being placed anew. */
  readonly state: "PENDING" | "CREATED" | "RESCHEDULING";
  readonly bundles: readonly Resources[];
  /** The node of each bundle, by index; undefined for one that has none now. */
  readonly nodes: readonly (NodeId | undefined)[];
  /** What it waits for, where that is known. */
  readonly reason: string | undefined;
}

const GROUP_TAG = "group";
/** Time for a group to be written down, in milliseconds. */
const CLAIM_DEADLINE_MS = 30_000;
/** How often it is asked of another agent when the one that was asked is gone. */
const CLAIM_TRIES = 5;
/** An agent answers after this at the latest, changed or not. Milliseconds. */
const LOOK_MS = 10_000;
/** A group of another process may be used before its row has come to us. Milliseconds. */
const UNKNOWN_MS = 2_000;
const AGAIN_MS = 100;

/** Groups of this process that are being written down: who asks for names and lists means them, too. */
const claims = new Set<Promise<void>>();

/**
 * A handle of a placement group: a value that may be passed to tasks and actors. Its resources are reserved as long as
 * it lives, whether handles of it are held or not: until `remove()`, or the end of its job.
 */
export class PlacementGroup implements PlacementGroupHandle, AsyncDisposable {
  readonly id: GroupId;
  /** What each bundle reserves. */
  readonly bundles: readonly Resources[];
  readonly strategy: GroupStrategy;
  readonly name: string | undefined;
  /** Settles when it is written down; at once where somebody else has made it. */
  private readonly claimed: Promise<void>;

  /** @internal Made by `placementGroup()` and its kin. */
  constructor(
    spec: { id: GroupId; bundles: readonly Resources[]; strategy: GroupStrategy; name: string | undefined },
    claimed: Promise<void> = Promise.resolve(),
  ) {
    this.id = spec.id;
    this.bundles = spec.bundles;
    this.strategy = spec.strategy;
    this.name = spec.name;
    this.claimed = claimed;
    Object.defineProperty(this, "claimed", { enumerable: false });
  }

  /**
   * Resolves when all bundles are reserved.
   * @throws TimeoutError with the reason; UnschedulableError where the group was removed; NameTakenError where it could
   * not be made; the signal's reason
   */
  async ready(options: WaitOptions = {}): Promise<void> {
    checkOptions("ready()", WAIT_RULES, options);
    const runtime = runtimeFor("PlacementGroup.ready()");
    await runtime.during(makingRoom(this.untilCreated(runtime, options)));
  }

  /**
   * Ends the group: its tasks fail, its actors die, its resources are free. A group that is gone is no error.
   * @throws ConnectionError where no agent can be reached
   */
  async remove(): Promise<void> {
    const runtime = runtimeFor("PlacementGroup.remove()");
    await this.claimed.catch(() => undefined);
    await runtime.home.request(Agent.groupRemove, { group: this.id, reason: "remove() was called" });
  }

  /**
   * The node of each bundle, by index, as of now; undefined for one that has none.
   * @throws UnschedulableError where the group was removed
   */
  async nodes(): Promise<(NodeId | undefined)[]> {
    const runtime = runtimeFor("PlacementGroup.nodes()");
    await this.claimed;
    const view = await this.look(runtime, 0, 0, undefined);
    return view === undefined ? this.bundles.map(() => undefined) : nodesOf(view);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.remove();
  }

  [WIRE](): { tag: string; data: unknown } {
    return { tag: GROUP_TAG, data: [this.id, this.bundles, this.strategy, this.name ?? null] };
  }

  toString(): string {
    return `PlacementGroup(${this.name === undefined ? "" : `"${this.name}", `}${this.id})`;
  }

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return this.toString();
  }

  private async untilCreated(runtime: Runtime, options: WaitOptions): Promise<void> {
    const limit = timerMs(options.timeoutMs);
    const ended = new AbortController();
    let waitsFor = "it has not been written down yet";
    const late = (): void =>
      ended.abort(new TimeoutError(`${this.toString()} was not ready within ${limit} ms: ${waitsFor}`));
    const onAbort = (): void => ended.abort(options.signal?.reason);
    const timer = limit === undefined ? undefined : setTimeout(late, limit);
    options.signal?.addEventListener("abort", onAbort, { once: true });
    if (options.signal?.aborted === true) onAbort();
    try {
      await orAborted(this.claimed, ended.signal);
      for (let after = 0; ;) {
        const view = await orAborted(this.look(runtime, after, LOOK_MS, ended.signal), ended.signal);
        if (view?.state === "CREATED") return;
        waitsFor = view?.cause?.message ?? "its bundles are being reserved";
        after = view?.revision ?? 0;
      }
    } finally {
      clearTimeout(timer);
      options.signal?.removeEventListener("abort", onAbort);
      ended.abort();
    }
  }

  /** Its state once it is not that of revision `after`. Undefined while it is not written down. @throws UnschedulableError */
  private async look(
    runtime: Runtime,
    after: number,
    waitMs: number,
    signal: AbortSignal | undefined,
  ): Promise<GroupView | undefined> {
    const since = performance.now();
    for (;;) {
      const answer = await retried(runtime, signal, () =>
        runtime.home.request(
          Agent.groupState,
          { group: this.id, after, waitMs },
          { timeoutMs: waitMs + LOOK_MS, ...(signal === undefined ? {} : { signal }) },
        ),
      );
      const { view, coming } = answer;
      if (view?.state === "REMOVED") throw removed(this, view.cause?.message ?? "no reason was given");
      if (view !== undefined || coming) return view;
      if (performance.now() - since > UNKNOWN_MS) throw removed(this, "it is not known in this cluster");
      await new Promise((again) => setTimeout(again, AGAIN_MS));
    }
  }
}

function removed(group: PlacementGroup, why: string): UnschedulableError {
  return new UnschedulableError(`${group.toString()} was removed: ${why}; make a new one`, {
    detail: { group: group.id },
  });
}

/** Asks again while an agent is to be had: the one that was asked may have died meanwhile. */
async function retried<T>(
  runtime: Runtime,
  signal: AbortSignal | undefined,
  ask: () => Promise<T>,
): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await ask();
    } catch (error) {
      const again = error instanceof ConnectionError && tries < CLAIM_TRIES && signal?.aborted !== true;
      if (!again || !(await runtime.home.reached(LOOK_MS))) throw error;
    }
  }
}

/** The promise, or a rejection with the signal's reason. */
function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    if (signal.aborted) onAbort();
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}

/**
 * Reserves resources together: all bundles, or none yet. Returns at once; `ready()` tells when they are. Tasks and actors
 * go there with `scheduling: { placementGroup }`.
 *
 * @param bundles each is reserved on one node; several may be on the same. Not given means 0, also for CPUs
 * @throws InvalidArgumentError for no bundles or an empty one; InvalidOptionError; NotInitializedError
 */
export function placementGroup(
  bundles: readonly Resources[],
  options: PlacementGroupOptions = {},
): PlacementGroup {
  const runtime = runtimeFor("placementGroup()");
  const resources = checkBundles(bundles);
  checkOptions("placementGroup()", GROUP_RULES, options);
  const spec: GroupSpec = {
    group: newGroupId(),
    job: runtime.job.job,
    detached: options.lifetime === "detached",
    namespace: options.namespace ?? runtime.job.namespace,
    strategy: options.strategy ?? "PACK",
    bundles: resources,
  };
  if (options.name !== undefined) spec.name = options.name;
  const claimed = runtime.during(
    retried(runtime, undefined, () =>
      runtime.home.request(Agent.groupCreate, { spec }, { timeoutMs: CLAIM_DEADLINE_MS }),
    ).then(() => undefined),
  );
  // `ready()` tells how it ended, and whatever is to run in it.
  const over = claimed.catch(() => undefined).then(() => void claims.delete(over));
  claims.add(over);
  const { strategy, name } = spec;
  return new PlacementGroup(
    { id: spec.group as GroupId, bundles: structuredClone(bundles), strategy, name },
    claimed,
  );
}

function checkBundles(bundles: readonly Resources[]): Record<string, number>[] {
  if (!Array.isArray(bundles) || bundles.length === 0 || bundles.length > MAX_BUNDLES) {
    throw new InvalidArgumentError(
      `placementGroup() takes a list of 1 to ${MAX_BUNDLES} bundles, such as [{ cpus: 1 }], got ${describe(bundles)}`,
    );
  }
  return bundles.map((bundle: Resources, index) => {
    checkOptions(`placementGroup(): bundle ${index}`, BUNDLE_RULES, bundle);
    const resources = resourceMap(bundle, 0);
    if (Object.keys(resources).length === 0) {
      throw new InvalidOptionError(
        `placementGroup(): bundle ${index} reserves nothing; give it cpus or others`,
      );
    }
    return resources;
  });
}

/**
 * The group of that name.
 *
 * @param options.namespace default: the job's own
 * @throws GroupNotFoundError; NotInitializedError; InvalidArgumentError
 */
export async function getPlacementGroup(
  name: string,
  options: { namespace?: string | undefined } = {},
): Promise<PlacementGroup> {
  const runtime = runtimeFor("getPlacementGroup()");
  checkOptions("getPlacementGroup()", { namespace: optionText }, options);
  if (typeof name !== "string" || name === "")
    throw new InvalidArgumentError(`getPlacementGroup() takes the name of a group, got ${describe(name)}`);
  const namespace = options.namespace ?? runtime.job.namespace;
  await Promise.all(claims);
  const view = await runtime.home.request(Agent.groupFind, { name, namespace });
  const { group, strategy } = view;
  return new PlacementGroup({ id: group as GroupId, bundles: view.bundles.map(inOptions), strategy, name });
}

/**
 * The groups of the cluster that are not removed.
 * @throws NotInitializedError; ConnectionError where no agent can be reached
 */
export async function listPlacementGroups(): Promise<PlacementGroupInfo[]> {
  const runtime = runtimeFor("listPlacementGroups()");
  await Promise.all(claims);
  const { groups } = await runtime.home.request(Agent.groupList, {});
  return groups.flatMap((view) => {
    const { group, name, namespace, strategy, state, bundles, cause } = view;
    if (state === "REMOVED") return [];
    const info: PlacementGroupInfo = {
      id: group as GroupId,
      name,
      namespace,
      strategy,
      state,
      bundles: bundles.map(inOptions),
      nodes: nodesOf(view),
      reason: cause?.message,
    };
    return [info];
  });
}

const nodesOf = ({ nodes }: GroupView): (NodeId | undefined)[] =>
  nodes.map((node) => (node === "" ? undefined : (node as NodeId)));

/** Resources by their names on the wire, as options have them. */
function inOptions({ CPU, GPU, memory, ...resources }: Record<string, number>): Resources {
  return {
    ...(CPU === undefined ? {} : { cpus: CPU }),
    ...(GPU === undefined ? {} : { gpus: GPU }),
    ...(memory === undefined ? {} : { memory }),
    ...(Object.keys(resources).length === 0 ? {} : { resources }),
  };
}

/** How groups come back inside values. Called in every process that takes part. */
export function registerGroups(): void {
  registerWireType(GROUP_TAG, (data) => {
    const [id, bundles, strategy, name] = Array.isArray(data) ? (data as unknown[]) : [];
    if (!isGroupId(id) || !Array.isArray(bundles) || typeof strategy !== "string")
      throw new ProtocolError("malformed placement group inside a value");
    return new PlacementGroup({
      id,
      bundles: bundles as Resources[],
      strategy: strategy as GroupStrategy,
      name: typeof name === "string" ? name : undefined,
    });
  });
}
