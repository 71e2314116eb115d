/** Deaths: who saw a process or node end tells everyone, so that waits on it end at once. Loss is allowed. */
import { isNodeId, isProcessId, oneOf, shape, text, type NodeId, type ProcessId } from "@stingray/protocol";
import { decodeFeed, encodeFeed } from "./codec.js";

/** A process or a node that has ended. `reason` is for people. */
export type Death =
  { kind: "process"; id: ProcessId; reason: string } | { kind: "node"; id: NodeId; reason: string };

const KIND = "death";
const kindOf = oneOf("process", "node");
const processId = shape(isProcessId, "a process id");
const nodeId = shape(isNodeId, "a node id");

/** A death as a CBOR array `[version, "death", kind, id, reason]`. */
export function encodeDeath(death: Death): Uint8Array {
  return encodeFeed(KIND, [death.kind, death.id, death.reason]);
}

/** The inverse of {@link encodeDeath}. @throws ProtocolError for another version, kind or shape */
export function decodeDeath(data: Uint8Array): Death {
  const items = decodeFeed(KIND, data);
  const reason = text(items[2], "death.reason");
  return kindOf(items[0], "death.kind") === "process"
    ? { kind: "process", id: processId(items[1], "death.id"), reason }
    : { kind: "node", id: nodeId(items[1], "death.id"), reason };
}
