/** Placement groups: resources on one or several nodes that are reserved together, and then filled by tasks and actors. */
import {
  Agent,
  BUNDLE_RULES,
  GROUP_RULES,
  InvalidArgumentError,
  InvalidOptionError,
  MAX_BUNDLES,
  checkOptions,
  describe,
  newGroupId,
  optionText,
  resourceMap,
  type GroupId,
  type GroupSpec,
  type GroupStrategy,
  type NodeId,
  type PlacementGroupOptions,
  type Resources,
} from "@stingray/protocol";
import { runtimeFor } from "../process-state.js";
import { PlacementGroup, nodesOf } from "./placement-group.js";
import { retried } from "./waits.js";

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

/** Time for a group to be written down, in milliseconds. */
const CLAIM_DEADLINE_MS = 30_000;

/** Groups of this process that are being written down: who asks for names and lists means them, too. */
const claims = new Set<Promise<void>>();

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

/** Resources by their names on the wire, as options have them. */
function inOptions({ CPU, GPU, memory, ...resources }: Record<string, number>): Resources {
  return {
    ...(CPU === undefined ? {} : { cpus: CPU }),
    ...(GPU === undefined ? {} : { gpus: GPU }),
    ...(memory === undefined ? {} : { memory }),
    ...(Object.keys(resources).length === 0 ? {} : { resources }),
  };
}
