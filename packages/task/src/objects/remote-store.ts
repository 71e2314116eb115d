/** Large objects for a process that has no store on its machine: over the network from and to the agents of nodes. */
import {
  ChunkMap,
  Puller,
  agentSource,
  type Encoded,
  type Source,
  type StoredBytes,
} from "@stingray/objectstore";
import {
  Agent,
  ObjectLostError,
  toError,
  type Location,
  type NodeId,
  type ObjectId,
  type ProcessId,
} from "@stingray/protocol";
import type { Channel } from "@stingray/broker";

const SEAL_MS = 30_000;

export interface RemoteStoreLinks {
  readonly process: ProcessId;
  channelTo(process: ProcessId, node: NodeId | undefined): Channel;
}

export class RemoteStore {
  private puller: Puller | undefined;

  constructor(private readonly links: RemoteStoreLinks) {}

  /** Fills an object that was created at this agent, and completes it. */
  async upload(id: ObjectId, encoded: Encoded, to: { node: NodeId; agent: ProcessId }): Promise<void> {
    const target = this.source(id, to.node, to.agent);
    await this.pullerNow().push({ object: id, from: encoded.bytes(), to: target });
    await this.links
      .channelTo(to.agent, to.node)
      .request(Agent.storeSeal, { object: id, size: encoded.size }, { timeoutMs: SEAL_MS });
  }

  /** An object, into this process's own memory. @throws ObjectLostError with `detail.object` */
  async download(id: ObjectId, [size, copies]: Location): Promise<StoredBytes> {
    const bytes = new Uint8Array(size);
    const into = {
      size,
      window: (offset: number, length: number) => bytes.subarray(offset, offset + length),
      arrived: () => undefined,
    };
    const sources = copies.map(([node, agent]) => this.source(id, node as NodeId, agent as ProcessId));
    try {
      await this.pullerNow().pull({ object: id, into, chunks: new ChunkMap(size), sources });
    } catch (thrown) {
      const error = toError(thrown);
      if (!(error instanceof ObjectLostError)) throw error;
      throw new ObjectLostError(error.message, { cause: error, detail: { ...error.detail, object: id } });
    }
    return { bytes };
  }

  /** Ends what is under way. */
  close(): void {
    this.puller?.close();
  }

  private pullerNow(): Puller {
    return (this.puller ??= new Puller({ name: this.links.process }));
  }

  private source(object: ObjectId, node: NodeId, agent: ProcessId): Source {
    return agentSource(object, agent, this.links.channelTo(agent, node));
  }
}
