/** Finding clusters for the commands that look at them, and what an agent says of its cluster. */
import type { BrokerOptions } from "@stingray/broker/connect";
import { Agent, ConnectionError, toError, type GroupView, type NodeView } from "@stingray/protocol";
import { listNodeFiles, type NodeFile } from "../runtime-files.js";
import { AgentLink } from "./agent-link.js";
import { brokerOptionsOf, withoutCredentials, type ConnectionFlags } from "./connection-options.js";
import type { Output } from "./output.js";

export interface ClusterFlags extends ConnectionFlags {
  cluster: string;
  subjectRoot: string;
}

/** As an agent sees it. */
export interface ClusterState {
  cluster: string;
  nodes: NodeView[];
  /** Placement groups that are not removed; absent where the agent is of a version without them. */
  groups?: GroupView[] | undefined;
}

/** A cluster, and how it was reached. */
export interface FoundCluster extends ClusterState {
  subjectRoot: string;
  /** URLs without credentials. */
  servers: string[];
  /** Given on the command line. */
  broker: BrokerOptions | undefined;
  /** The nodes of it that this user has on this machine; empty where a broker was given. */
  local: NodeFile[];
}

/**
 * The cluster on the given broker; without one, those that this user's nodes on this machine are part of.
 * @throws ConnectionError where nothing runs or nothing answers
 */
export async function findClusters(
  flags: ClusterFlags,
  runtimeDir: string,
  out: Output,
): Promise<FoundCluster[]> {
  const broker = brokerOptionsOf(flags);
  if (broker === undefined) return localClusters(runtimeDir, out);
  const { subjectRoot, cluster } = flags;
  const state = await stateFromBroker(broker, subjectRoot, cluster);
  return [{ ...state, subjectRoot, broker, local: [], servers: broker.servers.map(withoutCredentials) }];
}

async function localClusters(runtimeDir: string, out: Output): Promise<FoundCluster[]> {
  const files = await listNodeFiles(runtimeDir);
  if (files.length === 0) {
    throw new ConnectionError(
      "no node of this user runs on this machine: start one with stingray start, " +
        "or name a cluster with --address or STINGRAY_ADDRESS",
    );
  }
  const byCluster = new Map<string, NodeFile[]>();
  for (const file of files) byCluster.set(file.clusterId, [...(byCluster.get(file.clusterId) ?? []), file]);
  const found: FoundCluster[] = [];
  const failures: string[] = [];
  for (const local of byCluster.values()) {
    const [first] = local as [NodeFile, ...NodeFile[]];
    try {
      const state = await firstAnswer(local);
      const { subjectRoot } = first;
      found.push({ ...state, subjectRoot, broker: undefined, local, servers: first.broker.servers });
    } catch (thrown) {
      failures.push(`cluster "${first.cluster}" does not answer: ${toError(thrown).message}`);
    }
  }
  if (found.length === 0) throw new ConnectionError(failures.join("\n"));
  for (const failure of failures) out.note(failure);
  return found;
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

/** Asks an agent of this machine. @throws ConnectionError, TimeoutError where it does not answer */
export async function stateFromLocal(file: NodeFile): Promise<ClusterState> {
  await using link = await AgentLink.toLocal(file);
  return await link.ask(Agent.clusterState, {});
}

/** Asks any agent of the cluster through the broker. @throws ConnectionError where there is none; AuthError */
export async function stateFromBroker(
  options: BrokerOptions,
  subjectRoot: string,
  cluster: string,
): Promise<ClusterState> {
  await using link = await AgentLink.overBroker(options, subjectRoot, cluster);
  return await link.ask(Agent.clusterState, {});
}
