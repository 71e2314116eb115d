/** `stingray status`: the nodes, what they have free, how actors and workers do, and what waits for what. */
import type { GroupView, NodeView } from "@stingray/protocol";
import { askActors, type ActorsState } from "./actors-state.js";
import { describeActors } from "./actors-text.js";
import { describeDemand, groupDemand } from "./demand-text.js";
import { findClusters, type ClusterFlags } from "./cluster-state.js";
import { describeGroups } from "./group-text.js";
import { table, type Output } from "./output.js";
import { describeStore, isBusyStore } from "./store-line.js";
import { showBytes, showResources } from "./values.js";

export interface StatusFlags extends ClusterFlags {
  json?: boolean;
}

/** What is shown of a cluster. */
interface Shown {
  cluster: string;
  nodes: NodeView[];
  groups: GroupView[];
  servers: string[];
  actors: ActorsState;
}

/** What is asked for of actors and of the workers of each node. */
const ASKED = { states: ["PENDING", "RESTARTING"], limit: 5, deaths: 5, workers: 10 };

/** @returns the exit code. @throws ConnectionError where nothing runs or nothing answers */
export async function showStatus(flags: StatusFlags, runtimeDir: string, out: Output): Promise<number> {
  const found = await findClusters(flags, runtimeDir, out);
  const shown = await Promise.all(
    found.map(async (one): Promise<Shown> => ({
      cluster: one.cluster,
      nodes: one.nodes,
      groups: one.groups ?? [],
      servers: one.servers,
      actors: await askActors(one, flags, ASKED),
    })),
  );
  if (flags.json === true) out.say(JSON.stringify({ clusters: shown }, undefined, 2));
  else out.say(shown.map(describeCluster).join("\n\n"));
  return 0;
}

function describeCluster({ cluster, servers, nodes, groups, actors }: Shown): string {
  const rows = nodes.map((node) => [
    node.node,
    node.state,
    node.hostname,
    showResources(node.available, node.total),
    `${showBytes(node.storeUsed)}/${showBytes(node.storeCapacity)}`,
    String(node.workers),
    String(node.actors),
    Object.entries(node.labels)
      .map(([key, value]) => `${key}=${value}`)
      .join(","),
  ]);
  const heading = ["NODE", "STATE", "HOST", "FREE/TOTAL", "STORE", "WORKERS", "ACTORS", "LABELS"];
  const stores = nodes.flatMap(({ node, state, store }) =>
    state !== "DEAD" && store !== undefined && isBusyStore(store)
      ? [`  store of ${node}: ${describeStore(store)}`]
      : [],
  );
  const demand = groupDemand(nodes.flatMap(({ pending }) => pending)).map(describeDemand);
  return [
    `Cluster "${cluster}" on ${servers.join(", ")}: ${nodes.length} node${nodes.length === 1 ? "" : "s"}`,
    table([heading, ...rows]),
    ...stores,
    ...describeActors(actors),
    ...(groups.length === 0 ? [] : ["Placement groups:", ...describeGroups(groups)]),
    demand.length === 0
      ? "No demand waits."
      : `Waiting demand ("stingray why" shows which tasks):\n${demand.join("\n")}`,
  ].join("\n");
}
