/** Ways to each node of a cluster that was found: through its socket where it is ours, else through the broker. */
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

/** Where no broker was given, the one that the node files name is used, with the credentials of the flags. */
export class NodeLinks implements AsyncDisposable {
  private overBroker: Promise<AgentLink> | undefined;

  constructor(
    private readonly found: FoundCluster,
    private readonly flags: ConnectionFlags,
  ) {}

  /** Asks the agent of a node. @throws what it answers; ConnectionError and TimeoutError where it doesn't */
  async ask<Q, A>(node: NodeView, method: Method<Q, A>, body: Q): Promise<A> {
    const { found } = this;
    const file = found.local.find((one) => one.node === node.node);
    if (file !== undefined) {
      await using link = await AgentLink.toLocal(file);
      return await link.ask(method, body);
    }
    const agent = { endpoint: node.agent as ProcessId, process: node.agent as ProcessId };
    const link = await this.broker().catch((cause: unknown) => {
      if (found.broker !== undefined) throw cause;
      throw new ConnectionError(
        `it is no node of this user on this machine, and the broker can't be asked: ${toError(cause).message}; ` +
          `name it with --address, with credentials`,
        { cause },
      );
    });
    return await link.ask(method, body, { ...agent, node: node.node as NodeId });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.overBroker?.then(
      (link) => link[Symbol.asyncDispose](),
      () => undefined, // whoever asked has it as the reason
    );
  }

  private broker(): Promise<AgentLink> {
    const { found, flags } = this;
    const options = found.broker ?? brokerOptionsOf({ ...flags, address: found.servers });
    if (options === undefined) {
      return Promise.reject(new ConnectionError("no address of the broker is known; give --address"));
    }
    return (this.overBroker ??= AgentLink.overBroker(options, found.subjectRoot, found.cluster));
  }
}
