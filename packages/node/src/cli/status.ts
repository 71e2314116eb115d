/** `stingray status`: the nodes, what they have free, and what waits for what. */
import { ConnectionError, toError } from "@stingray/protocol";
import { listNodeFiles, type NodeFile } from "../runtime-files.js";
import { stateFromBroker, stateFromLocal, type ClusterState } from "./cluster-state.js";
import { brokerOptionsOf, withoutCredentials, type ConnectionFlags } from "./connection-options.js";
import { table, type Output } from "./output.js";
import { showBytes, showResources } from "./values.js";

export interface StatusFlags extends ConnectionFlags {
  cluster: string;
  subjectRoot: string;
  json?: boolean;
}

/** A cluster and how it was reached. */
interface Shown extends ClusterState {
  servers: string[];
}

/** @returns the exit code. @throws ConnectionError where nothing runs or nothing answers */
export async function showStatus(flags: StatusFlags, runtimeDir: string, out: Output): Promise<number> {
  const broker = brokerOptionsOf(flags);
  const shown: Shown[] =
    broker === undefined
      ? await localClusters(runtimeDir, out)
      : [
          {
            ...(await stateFromBroker(broker, flags.subjectRoot, flags.cluster)),
            servers: broker.servers.map(withoutCredentials),
          },
        ];
  if (flags.json === true) out.say(JSON.stringify({ clusters: shown }, undefined, 2));
  else out.say(shown.map(describeCluster).join("\n\n"));
  return 0;
}

/** The clusters that this user's nodes on this machine are part of, each asked once. */
async function localClusters(runtimeDir: string, out: Output): Promise<Shown[]> {
  const files = await listNodeFiles(runtimeDir);
  if (files.length === 0) {
    throw new ConnectionError(
      "no node of this user runs on this machine: start one with stingray start, " +
        "or name a cluster with --address or STINGRAY_ADDRESS",
    );
  }
  const byCluster = new Map<string, NodeFile[]>();
  for (const file of files) byCluster.set(file.clusterId, [...(byCluster.get(file.clusterId) ?? []), file]);
  const shown: Shown[] = [];
  const failures: string[] = [];
  for (const members of byCluster.values()) {
    try {
      shown.push({ ...(await firstAnswer(members)), servers: members[0]?.broker.servers ?? [] });
    } catch (thrown) {
      failures.push(`cluster "${members[0]?.cluster}" does not answer: ${toError(thrown).message}`);
    }
  }
  if (shown.length === 0) throw new ConnectionError(failures.join("\n"));
  for (const failure of failures) out.note(failure);
  return shown;
}

async function firstAnswer(members: readonly NodeFile[]): Promise<ClusterState> {
  let last: unknown;
  for (const member of members) {
    try {
      return await stateFromLocal(member);
    } catch (thrown) {
      last = thrown;
    }
  }
  throw toError(last);
}

function describeCluster({ cluster, servers, nodes }: Shown): string {
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
  const waiting = nodes.flatMap((node) => node.pending);
  const demand = waiting.map(
    ({ shape, count, reason }) =>
      `  ${count} x { ${showResources(shape)} }: ${reason === "" ? "waits" : reason}`,
  );
  return [
    `Cluster "${cluster}" on ${servers.join(", ")}: ${nodes.length} node${nodes.length === 1 ? "" : "s"}`,
    table([heading, ...rows]),
    demand.length === 0 ? "No demand waits." : `Waiting demand:\n${demand.join("\n")}`,
  ].join("\n");
}
