/** Ports and pullers of several nodes in this process, closed together, with what went out of each port. */
import { newAgentId, newSecret, type DataAddress } from "@stingray/protocol";
import type { PortLimits, PullLimits } from "../../../src/transfer/limits.js";
import { DataPort, type DataPortOptions } from "../../../src/transfer/port.js";
import { Puller } from "../../../src/transfer/puller.js";
import type { Outgoing, Source } from "../../../src/transfer/types.js";
import { fill, Memory, Target, whole } from "./memory.js";

export interface TestNode {
  readonly name: string;
  readonly port: DataPort;
  readonly puller: Puller;
  readonly objects: Map<string, () => Outgoing>;
  readonly uploads: Map<string, Target>;
  /** Problems that the port reported. */
  readonly problems: Error[];
  /** Outgoing objects that are open now. */
  readonly opened: { count: number };
  /** Bytes of chunks that the port sent. */
  sent: number;
}

export const noRpc = (): Promise<never> => Promise.reject(new Error("this test has no RPC links"));

export function sourceOf(node: TestNode, address: DataAddress = node.port.address): Source {
  return { name: node.name, address: async () => address, read: noRpc };
}

export class Cluster {
  readonly memory = new Memory();
  readonly #nodes: TestNode[] = [];

  async node(
    options: Partial<PullLimits> & { port?: Partial<PortLimits>; open?: DataPortOptions["open"] } = {},
  ): Promise<TestNode> {
    const { port: limits, open, ...pulling } = options;
    const name = newAgentId();
    const objects = new Map<string, () => Outgoing>();
    const uploads = new Map<string, Target>();
    const problems: Error[] = [];
    const port = await DataPort.listen({
      host: "127.0.0.1",
      key: newSecret(),
      open: open ?? (async (object) => objects.get(object)?.()),
      accept: async (object) => uploads.get(object),
      onSent: (bytes) => void (node.sent += bytes),
      onProblem: (error) => problems.push(error),
      limits,
    });
    const puller = new Puller({ name, serves: () => port.address, retryMs: 10, ...pulling });
    const node: TestNode = { name, port, puller, objects, uploads, problems, opened: { count: 0 }, sent: 0 };
    this.#nodes.push(node);
    return node;
  }

  /** An object of so many bytes, on this node. */
  put(node: TestNode, object: string, size: number, seed = 1, tag?: string): Uint8Array {
    const bytes = fill(this.memory.room(size), seed);
    node.objects.set(object, () => whole(bytes, node.opened, tag));
    return bytes;
  }

  /** Room for an object that this node will pull; what has arrived is served on at once. */
  target(node: TestNode, object: string, size: number): Target {
    const target = new Target(this.memory.room(size));
    node.objects.set(object, () => target.outgoing());
    return target;
  }

  async close(): Promise<void> {
    for (const { puller } of this.#nodes) puller.close();
    await Promise.all(this.#nodes.map(({ port }) => port.close()));
    this.memory[Symbol.dispose]();
  }
}
