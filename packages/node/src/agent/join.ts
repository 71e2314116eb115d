/** Answers drivers that ask, with a plain NATS request, which agent takes them in. */
import type { NatsConnection } from "@nats-io/nats-core";
import { decodePlain, encodePlain } from "@stingray/broker";
import {
  Join,
  PROTOCOL_VERSION,
  ProtocolError,
  SCHEDULERS,
  encodeError,
  toError,
  type NodeId,
  type ProcessId,
  type Subjects,
  type WireError,
} from "@stingray/protocol";

/** What comes back: the answer of `join` itself, or a map with nothing but the error. */
export type JoinReply = ReturnType<typeof Join.answer> | { error: WireError };

/** Answers until the returned function is called. The body of both messages is CBOR. */
export function serveJoin(
  nc: NatsConnection,
  subjects: Subjects,
  self: { node: NodeId; agent: ProcessId },
  onMalformed: (error: Error) => void = () => {},
): () => void {
  const subscription = nc.subscribe(subjects.capability("driver"), {
    queue: SCHEDULERS,
    callback: (error, message) => {
      if (error !== null) return;
      const reply = answer(message.data, subjects.cluster, self, onMalformed);
      // Nobody can be told of what has no reply subject.
      if (message.reply !== undefined && message.reply !== "") message.respond(encodePlain(reply));
    },
  });
  return () => {
    if (!subscription.isClosed()) subscription.unsubscribe();
  };
}

function answer(
  data: Uint8Array,
  cluster: string,
  self: { node: NodeId; agent: ProcessId },
  onMalformed: (error: Error) => void,
): JoinReply {
  try {
    const ask = Join.ask(decode(data), "join");
    if (ask.version !== PROTOCOL_VERSION) {
      throw new ProtocolError(
        `the cluster "${cluster}" speaks protocol version ${PROTOCOL_VERSION}, the driver ${ask.version}: ` +
          `install the same version of stingray on both sides`,
      );
    }
    return { cluster, agent: self.agent, node: self.node, version: PROTOCOL_VERSION };
  } catch (thrown) {
    onMalformed(toError(thrown));
    const { stack: _stack, ...wire } = encodeError(thrown);
    return { error: wire };
  }
}

function decode(data: Uint8Array): unknown {
  try {
    return decodePlain(data);
  } catch (thrown) {
    throw new ProtocolError(
      `a join request that is no CBOR (${toError(thrown).message}): is this a driver of stingray?`,
    );
  }
}
