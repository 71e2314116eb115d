/** Asks the agents of a cluster, each by the way that there is to it. */
import { toError, type Method, type NodeView } from "@stingray/protocol";
import type { FoundCluster } from "./cluster-state.js";
import type { ConnectionFlags } from "./connection-options.js";
import { NodeLinks } from "./node-links.js";

/** A node and its answer, or why there is none. */
export type Asked<A> = { node: NodeView } & (
  { kind: "answered"; answer: A } | { kind: "failed"; reason: string }
);

/** Asks every node that is not dead, all at once. */
export async function askNodes<Q, A>(
  found: FoundCluster,
  flags: ConnectionFlags,
  method: Method<Q, A>,
  body: Q,
): Promise<Asked<A>[]> {
  await using links = new NodeLinks(found, flags);
  return await Promise.all(
    found.nodes
      .filter(({ state }) => state !== "DEAD")
      .map(async (node): Promise<Asked<A>> => {
        try {
          return { node, kind: "answered", answer: await links.ask(node, method, body) };
        } catch (thrown) {
          return { node, kind: "failed", reason: toError(thrown).message };
        }
      }),
  );
}
