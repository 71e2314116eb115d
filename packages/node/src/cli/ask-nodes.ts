/** Asks the agents of a cluster, each by the way that there is to it. */
import {
  ConnectionError,
  toError,
  type Method,
  type NodeId,
  type NodeView,
  type ProcessId,
} from "@stingray/protocol";
import { AgentLink } from "./agent-link.js";
import type { FoundCluster } from "./cluster-state.js";
import { brokerOptionsOf, type ConnectionFlags } from "./connection-options.js";

/** A node and its answer, or why there is none. */
export type Asked<A> = { node: NodeView } & (
  { kind: "answered"; answer: A } | { kind: "failed"; reason: string }
);

/**
 * Asks every node that is not dead, all at once. Nodes of this machine are asked through their sockets; where no broker
 * was given, the others through the one that the node files name, with the credentials of the flags.
 */
export async function askNodes<Q, A>(
  found: FoundCluster,
  flags: ConnectionFlags,
  method: Method<Q, A>,
  body: Q,
): Promise<Asked<A>[]> {
  let overBroker: Promise<AgentLink> | undefined;
  const broker = async (): Promise<AgentLink> => {
    const options = found.broker ?? brokerOptionsOf({ ...flags, address: found.servers });
    if (options === undefined) throw new ConnectionError("no address of the broker is known; give --address");
    return (overBroker ??= AgentLink.overBroker(options, found.subjectRoot, found.cluster));
  };
  const ask = async (node: NodeView): Promise<A> => {
    const file = found.local.find((one) => one.node === node.node);
    if (file !== undefined) {
      await using link = await AgentLink.toLocal(file);
      return await link.ask(method, body);
    }
    const agent = { endpoint: node.agent as ProcessId, process: node.agent as ProcessId };
    const link = await broker().catch((cause: unknown) => {
      if (found.broker !== undefined) throw cause;
      throw new ConnectionError(
        `it is no node of this user on this machine, and the broker can't be asked: ${toError(cause).message}; ` +
          `name it with --address, with credentials`,
        { cause },
      );
    });
    return await link.ask(method, body, { ...agent, node: node.node as NodeId });
  };
  try {
    return await Promise.all(
      found.nodes
        .filter(({ state }) => state !== "DEAD")
        .map(async (node): Promise<Asked<A>> => {
          try {
            return { node, kind: "answered", answer: await ask(node) };
          } catch (thrown) {
            return { node, kind: "failed", reason: toError(thrown).message };
          }
        }),
    );
  } finally {
    await overBroker?.then(
      (link) => link[Symbol.asyncDispose](),
      () => undefined, // each node has it as its reason
    );
  }
}
