/** Asking an agent for the state of its cluster: through its socket where it is on this machine, else through the broker. */
import type { NatsConnection } from "@nats-io/nats-core";
import { Transport, decodePlain, encodePlain, type PeerAddress } from "@stingray/broker";
import { connectBroker, type BrokerOptions } from "@stingray/broker/connect";
import {
  Agent,
  ConnectionError,
  Join,
  PROTOCOL_VERSION,
  ProtocolError,
  Subjects,
  decodeError,
  newDriverId,
  record,
  wireErrorCheck,
  type NodeView,
  type ProcessId,
  type WireError,
} from "@stingray/protocol";
import type { NodeFile } from "../runtime-files.js";

export interface ClusterState {
  cluster: string;
  nodes: NodeView[];
}

const TIMEOUT_MS = 5_000;
const joinError = record<{ error: WireError }>({ error: wireErrorCheck() });

/** Asks an agent of this machine. No broker and no credentials are needed: its secret is in a file of ours. */
export async function stateFromLocal(file: NodeFile): Promise<ClusterState> {
  const transport = await Transport.create({
    process: newDriverId(),
    node: file.node,
    subjects: new Subjects(file.subjectRoot, file.cluster),
    socketDir: file.socketDir,
    secret: file.secret,
  });
  return ask(transport, { endpoint: file.agent, process: file.agent, node: file.node });
}

/** Asks any agent of the cluster through the broker. @throws ConnectionError where there is none */
export async function stateFromBroker(
  options: BrokerOptions,
  subjectRoot: string,
  cluster: string,
): Promise<ClusterState> {
  const subjects = new Subjects(subjectRoot, cluster);
  const nc = await connectBroker({ ...options, name: "stingray status" });
  try {
    const agent = await join(nc, subjects);
    const transport = await Transport.create({ process: newDriverId(), subjects, links: "nats" });
    transport.attachBroker(nc);
    return await ask(transport, agent);
  } finally {
    await nc.close();
  }
}

async function ask(transport: Transport, agent: PeerAddress): Promise<ClusterState> {
  try {
    return await transport.inbox.channel(agent).request(Agent.clusterState, {}, { timeoutMs: TIMEOUT_MS });
  } finally {
    await transport.close({ drainMs: 0 });
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
