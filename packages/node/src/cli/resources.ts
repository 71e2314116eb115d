/** `stingray resources`: changes what a running node has. */
import {
  Agent,
  ConnectionError,
  InvalidOptionError,
  isNodeId,
  toError,
  type NodeView,
} from "@stingray/protocol";
import { findClusters, type ClusterFlags, type FoundCluster } from "./cluster-state.js";
import { NodeLinks } from "./node-links.js";
import type { Output } from "./output.js";
import { parseAmount, parseBytes, showResources } from "./values.js";

/** Some resources and how much of each the node is to have; 0: none. */
export type Amounts = ReadonlyMap<string, number>;

/** `special=2 memory=4GiB`. @throws InvalidOptionError for what is no `name=amount`, and a name that comes twice */
export function parseAmounts(texts: readonly string[]): Amounts {
  const amounts = new Map<string, number>();
  for (const text of texts) {
    const at = text.lastIndexOf("=");
    const name = text.slice(0, at);
    if (at < 1)
      throw new InvalidOptionError(`"${text}" is no amount of a resource; write for example special=2`);
    if (amounts.has(name)) throw new InvalidOptionError(`${name} is given twice; which one is meant?`);
    try {
      amounts.set(name, (name === "memory" ? parseBytes : parseAmount)(text.slice(at + 1)));
    } catch (cause) {
      throw new InvalidOptionError(`${name}: ${toError(cause).message}`, { cause });
    }
  }
  return amounts;
}

/**
 * Sets them one after another, and shows what the node has then.
 * @returns the exit code
 * @throws InvalidOptionError for what the node refuses; those before it are set. ConnectionError where the node is not there
 */
export async function setResources(
  flags: ClusterFlags,
  runtimeDir: string,
  out: Output,
  node: string,
  amounts: Amounts,
): Promise<number> {
  if (!isNodeId(node)) {
    throw new InvalidOptionError(`"${node}" is no id of a node; stingray status shows them`);
  }
  const [cluster, view] = theNode(await findClusters(flags, runtimeDir, out), node);
  await using links = new NodeLinks(cluster, flags);
  for (const [name, amount] of amounts) {
    const { total, available } = await links.ask(view, Agent.nodeSetResource, { name, amount });
    const what = amount === 0 ? `has no ${name} any more` : `has ${showResources({ [name]: amount })}`;
    out.say(`Node ${node} ${what}. Free/total: ${showResources(available, total)}`);
  }
  return 0;
}

function theNode(found: readonly FoundCluster[], node: string): [FoundCluster, NodeView] {
  const live: string[] = [];
  for (const cluster of found) {
    for (const view of cluster.nodes) {
      if (view.state === "DEAD") continue;
      if (view.node === node) return [cluster, view];
      live.push(view.node);
    }
  }
  throw new ConnectionError(`there is no live node ${node}; there are: ${live.join(", ")}`);
}
