/** The bodies of plain requests between agents: CBOR maps, checked at the edge. */
import { decodePlain, encodePlain } from "@stingray/broker";
import {
  PROTOCOL_VERSION,
  ProtocolError,
  decodeError,
  encodeError,
  toError,
  wireErrorCheck,
  type Method,
  type StingrayError,
} from "@stingray/protocol";

/** Largest body accepted, in bytes; an ask is some hundred. */
const MAX_BYTES = 1 << 20;

const wireError = wireErrorCheck();

/** `{ v, kind, ask }` */
export function encodeAsk<Q>(method: Method<Q, unknown>, ask: Q): Uint8Array {
  return encodePlain({ v: PROTOCOL_VERSION, kind: method.name, ask });
}

/** The kind and the unchecked body of an ask. @throws ProtocolError for anything else, whatever the bytes are */
export function decodeAsk(data: Uint8Array): { kind: string; ask: unknown } {
  const { kind, ask } = decodeMap(data, "request");
  if (typeof kind !== "string")
    throw new ProtocolError("malformed request: it does not say of which kind it is");
  return { kind, ask };
}

/** `{ v, answer }` */
export function encodeAnswer(answer: unknown): Uint8Array {
  return encodePlain({ v: PROTOCOL_VERSION, answer });
}

/** `{ v, error }`, without the stack: it goes to other machines. */
export function encodeRefusal(thrown: unknown): Uint8Array {
  const { stack: _stack, ...error } = encodeError(thrown);
  return encodePlain({ v: PROTOCOL_VERSION, error });
}

/** The answer, checked, or the error that was answered. @throws ProtocolError where it is neither */
export function decodeAnswer<Q, A>(method: Method<Q, A>, data: Uint8Array): A | StingrayError {
  const { error, answer } = decodeMap(data, "answer");
  if (error !== undefined) return decodeError(wireError(error, "error"));
  return method.answer(answer, method.name);
}

function decodeMap(data: Uint8Array, what: string): Record<string, unknown> {
  if (data.length > MAX_BYTES) {
    throw new ProtocolError(`malformed ${what}: ${data.length} bytes, at most ${MAX_BYTES} are accepted`);
  }
  let body: unknown;
  try {
    body = decodePlain(data);
  } catch (thrown) {
    throw new ProtocolError(`malformed ${what}: it is no CBOR (${toError(thrown).message})`);
  }
  if (typeof body !== "object" || body === null || Array.isArray(body)) {
    throw new ProtocolError(`malformed ${what}: it is no map`);
  }
  const map = body as Record<string, unknown>;
  if (map["v"] !== PROTOCOL_VERSION) {
    throw new ProtocolError(
      `a ${what} of another protocol version than ${PROTOCOL_VERSION}: run the same version on all nodes of a cluster`,
    );
  }
  return map;
}
