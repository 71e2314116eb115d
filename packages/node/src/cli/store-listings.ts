/** Asks the agents of a cluster what is in their stores. */
import { Agent, type NodeView, type StoreListing } from "@stingray/protocol";
import { askNodes } from "./ask-nodes.js";
import type { FoundCluster } from "./cluster-state.js";
import type { ConnectionFlags } from "./connection-options.js";

/** A node and its answer, or why there is none. */
export type NodeAnswer = { node: NodeView } & (
  { kind: "answered"; listing: StoreListing } | { kind: "failed"; reason: string }
);

/** @param limit of objects per node */
export async function askStores(
  found: FoundCluster,
  flags: ConnectionFlags,
  limit: number,
): Promise<NodeAnswer[]> {
  const answers = await askNodes(found, flags, Agent.storeList, { limit });
  return answers.map((one) =>
    one.kind === "failed" ? one : { node: one.node, kind: "answered", listing: one.answer },
  );
}
