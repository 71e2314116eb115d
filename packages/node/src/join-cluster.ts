/** Asking over plain NATS which agent of a cluster takes a driver (or an observer) in. */
import type { NatsConnection } from "@nats-io/nats-core";
import { decodePlain, encodePlain } from "@stingray/broker";
import {
  ConnectionError,
  Join,
  PROTOCOL_VERSION,
  ProtocolError,
  decodeError,
  record,
  wireErrorCheck,
  type NodeId,
  type ProcessId,
  type Subjects,
  type WireError,
} from "@stingray/protocol";

export interface JoinedCluster {
  readonly agent: ProcessId;
  readonly node: NodeId;
}

const TIMEOUT_MS = 5_000;
const joinError = record<{ error: WireError }>({ error: wireErrorCheck() });

/**
 * @throws ConnectionError where no node answers; ProtocolError where the cluster speaks another version
 */
export async function joinCluster(
  nc: NatsConnection,
  subjects: Subjects,
  timeoutMs: number = TIMEOUT_MS,
): Promise<JoinedCluster> {
  const subject = subjects.capability("driver");
  let data: Uint8Array;
  try {
    data = (await nc.request(subject, encodePlain({ version: PROTOCOL_VERSION }), { timeout: timeoutMs }))
      .data;
  } catch (cause) {
    throw new ConnectionError(
      `no node of the cluster "${subjects.cluster}" answers on ${nc.getServer()}: start one with ` +
        `\`stingray start --address ${nc.getServer()}\`, or check the name of the cluster, ` +
        `and that the same release of stingray runs everywhere (this one speaks version ${PROTOCOL_VERSION} of the protocol)`,
      { cause },
    );
  }
  let reply: unknown;
  try {
    reply = decodePlain(data);
  } catch (cause) {
    throw new ProtocolError(`what answered on ${subject} is no stingray agent of this version`, { cause });
  }
  if (typeof reply === "object" && reply !== null && "error" in reply)
    throw decodeError(joinError(reply, "join").error);
  const { agent, node } = Join.answer(reply, "join");
  return { agent: agent as ProcessId, node: node as NodeId };
}
