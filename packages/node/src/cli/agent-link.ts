/** A way to the agents of a cluster: through the socket of one on this machine, or through the broker. */
import type { NatsConnection } from "@nats-io/nats-core";
import { Transport, decodePlain, encodePlain, type PeerAddress } from "@stingray/broker";
import { connectBroker, type BrokerOptions } from "@stingray/broker/connect";
import {
  ConnectionError,
  Join,
  PROTOCOL_VERSION,
  ProtocolError,
  Subjects,
  decodeError,
  newDriverId,
  record,
  wireErrorCheck,
  type Method,
  type ProcessId,
  type WireError,
} from "@stingray/protocol";
import type { NodeFile } from "../runtime-files.js";

const TIMEOUT_MS = 5_000;
const joinError = record<{ error: WireError }>({ error: wireErrorCheck() });

export class AgentLink implements AsyncDisposable {
  private constructor(
    private readonly transport: Transport,
    /** The agent that was found; without a broker the only one that can be asked. */
    readonly agent: PeerAddress,
    private readonly connection: NatsConnection | undefined,
  ) {}

  /** To an agent of this machine. No broker and no credentials are needed: its secret is in a file of ours. */
  static async toLocal(file: NodeFile): Promise<AgentLink> {
    const transport = await Transport.create({
      process: newDriverId(),
      node: file.node,
      subjects: new Subjects(file.subjectRoot, file.cluster),
      socketDir: file.socketDir,
      secret: file.secret,
    });
    return new AgentLink(
      transport,
      { endpoint: file.agent, process: file.agent, node: file.node },
      undefined,
    );
  }

  /** To any agent of the cluster. @throws ConnectionError where there is none; AuthError */
  static async overBroker(options: BrokerOptions, subjectRoot: string, cluster: string): Promise<AgentLink> {
    const subjects = new Subjects(subjectRoot, cluster);
    const nc = await connectBroker({ ...options, name: "stingray command" });
    try {
      const agent = await join(nc, subjects);
      const transport = await Transport.create({ process: newDriverId(), subjects, links: "nats" });
      transport.attachBroker(nc);
      return new AgentLink(transport, agent, nc);
    } catch (error) {
      await nc.close();
      throw error;
    }
  }

  /**
   * Asks an agent.
   * @param agent @defaultValue the one that was found
   * @throws what it answers; ConnectionError and TimeoutError where it doesn't, within 5 s
   */
  ask<Q, A>(method: Method<Q, A>, body: Q, agent: PeerAddress = this.agent): Promise<A> {
    return this.transport.inbox.channel(agent).request(method, body, { timeoutMs: TIMEOUT_MS });
  }

  /** Resolves when the channel to an agent is closed, or after `timeoutMs`. @returns whether it is */
  async closed(timeoutMs: number, agent: PeerAddress = this.agent): Promise<boolean> {
    const channel = this.transport.inbox.channel(agent);
    return await new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), timeoutMs);
      channel.onClose(() => {
        clearTimeout(timer);
        resolve(true);
      });
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.transport.close({ drainMs: 0 });
    await this.connection?.close();
  }
}

async function join(nc: NatsConnection, subjects: Subjects): Promise<PeerAddress> {
  const subject = subjects.capability("driver");
  let data: Uint8Array;
  try {
    const reply = await nc.request(subject, encodePlain({ version: PROTOCOL_VERSION }), {
      timeout: TIMEOUT_MS,
    });
    data = reply.data;
  } catch (cause) {
    throw new ConnectionError(
      `no node of the cluster "${subjects.cluster}" answers on ${subject}: ` +
        `start one with stingray start --address …, or name the right --cluster, ` +
        `and see that the same release of stingray runs everywhere (this one speaks version ${PROTOCOL_VERSION} of the protocol)`,
      { cause },
    );
  }
  const { agent } = answerOf(data);
  return { endpoint: agent, process: agent };
}

function answerOf(data: Uint8Array): { agent: ProcessId } {
  let reply: unknown;
  try {
    reply = decodePlain(data);
  } catch (cause) {
    throw new ProtocolError("the answer to a join request is no CBOR: is something else on that subject?", {
      cause,
    });
  }
  if (typeof reply === "object" && reply !== null && "error" in reply) {
    throw decodeError(joinError(reply, "join").error);
  }
  return { agent: Join.answer(reply, "join").agent as ProcessId };
}
