/**
 * What the kit asks of the cluster's agents. Over channels of its own: the test's process may be a driver of another
 * cluster, or of none.
 */
import type { NatsConnection } from "@nats-io/nats-core";
import { Transport } from "@stingray/broker";
import { connectBroker, type BrokerOptions } from "@stingray/broker/connect";
import {
  Agent,
  ConnectionError,
  newDriverId,
  type Method,
  type NodeView,
  type Subjects,
} from "@stingray/protocol";
import type { TestNode } from "./node.js";

/** An agent that stands still does not answer; the next is asked then. Milliseconds. */
const ASK_MS = 3_000;

/** What is needed of the cluster. */
export interface AskedCluster {
  readonly nodes: readonly TestNode[];
  readonly subjects: Subjects;
  /** Without gates. */
  readonly broker: BrokerOptions;
  /** Agents listen on no sockets. */
  readonly viaBroker: boolean;
}

interface Link {
  readonly transport: Transport;
  readonly connection: NatsConnection | undefined;
}

export class Agents {
  /** By the id of a life of a node. */
  private readonly links = new Map<string, Promise<Link>>();
  private readonly met = new Set<string>();

  constructor(private readonly cluster: () => AskedCluster) {}

  /**
   * Asks one that runs.
   * @param o `preferred`: the id of the node to turn to first. `but`: none that this node's views would be of.
   * @throws what it answers; ConnectionError where none answers
   */
  async ask<Q, A>(
    method: Method<Q, A>,
    body: Q,
    o: { preferred?: string | undefined; but?: TestNode | undefined; timeoutMs?: number | undefined } = {},
  ): Promise<A> {
    let cause: unknown;
    for (const node of this.candidates(o)) {
      try {
        const { transport } = await this.linkTo(node);
        const { agent, node: id } = node.identity;
        const channel = transport.inbox.channel({ endpoint: agent, process: agent, node: id });
        return await channel.request(method, body, { timeoutMs: o.timeoutMs ?? ASK_MS });
      } catch (thrown) {
        if (o.timeoutMs !== undefined) throw thrown; // it must not be done twice
        cause = thrown;
      }
    }
    throw new ConnectionError(
      `no node of the test cluster "${this.cluster().subjects.cluster}" answers; resume(), restart() or addNode() one`,
      { cause },
    );
  }

  /** As one of them sees all nodes. @throws as {@link ask} */
  async nodes(o: { preferred?: string | undefined; but?: TestNode | undefined } = {}): Promise<NodeView[]> {
    const { nodes } = await this.ask(Agent.clusterState, {}, o);
    for (const { node } of nodes) this.met.add(node);
    return nodes;
  }

  /** Whether a life of a node was ever seen to be part of the cluster. */
  knows(node: string): boolean {
    return this.met.has(node);
  }

  async close(): Promise<void> {
    const links = [...this.links.values()];
    this.links.clear();
    await Promise.allSettled(
      links.map(async (opening) => {
        const { transport, connection } = await opening;
        await transport.close({ drainMs: 0 });
        await connection?.close();
      }),
    );
  }

  private candidates(o: { preferred?: string | undefined; but?: TestNode | undefined }): TestNode[] {
    const able = this.cluster().nodes.filter(
      (node) => node !== o.but && node.state === "up" && !node.isStarting && node.process.running,
    );
    const rank = (node: TestNode): number =>
      (node.process.paused ? 2 : 0) + (node.id === o.preferred ? 0 : 1);
    return able.toSorted((a, b) => rank(a) - rank(b));
  }

  private linkTo(node: TestNode): Promise<Link> {
    let link = this.links.get(node.id);
    if (link === undefined) {
      const { id } = node;
      link = this.open(node);
      this.links.set(id, link);
      link.catch(() => this.links.delete(id));
    }
    return link;
  }

  private async open(node: TestNode): Promise<Link> {
    const { subjects, broker, viaBroker } = this.cluster();
    const process = newDriverId();
    if (viaBroker) {
      const connection = await connectBroker({ ...broker, name: "stingray test kit", background: true });
      const transport = await Transport.create({ process, subjects, links: "nats" });
      transport.attachBroker(connection);
      return { transport, connection };
    }
    const { node: id, socketDir, secret } = node.identity;
    const transport = await Transport.create({
      process,
      node: id,
      subjects,
      socketDir,
      secret,
      background: true,
    });
    return { transport, connection: undefined };
  }
}
