/**
 * Which actor a handle is of. A handle may travel before the claim of its actor was answered, and with `getIfExists`
 * the answer may name another actor. Such a handle says so, and the receiver asks the creator: the answer is the
 * value of the reference that stands for the handles.
 */
import { decode, encode } from "@stingray/objectstore";
import {
  ProtocolError,
  StingrayError,
  isActorId,
  isNodeId,
  isObjectId,
  toError,
  type ActorId,
  type NodeId,
  type ObjectId,
} from "@stingray/protocol";
import { decodeThrown, encodeThrown, type ObjectEntry } from "@stingray/task/internal";

export interface ActorIdentity {
  readonly actor: ActorId;
  /** The reference whose holders keep the actor alive; none for detached actors. */
  readonly ref: ObjectId | undefined;
  /** Of the reference's owner. */
  readonly node: NodeId | undefined;
}

type EntryState = Parameters<ObjectEntry["settle"]>[0];

export function identityState({ actor, ref, node }: ActorIdentity): EntryState {
  return { kind: "inline", bytes: encode([actor, ref ?? null, node ?? null]).bytes() };
}

export function noIdentityState(error: StingrayError): EntryState {
  return { kind: "error", bytes: encodeThrown(error) };
}

/** Reads the entry once it is ready. @throws StingrayError what kept the actor from being claimed */
export function identityOf(entry: ObjectEntry): ActorIdentity {
  const { state } = entry;
  if (state.kind === "error") {
    const error = toError(decodeThrown(state.bytes));
    throw error instanceof StingrayError ? error : new ProtocolError(error.message, { cause: error });
  }
  const value: unknown = state.kind === "inline" ? decode(state.bytes) : undefined;
  const [actor, ref, node] = Array.isArray(value) ? (value as unknown[]) : [];
  if (!isActorId(actor)) throw new ProtocolError("the creator of an actor sent a malformed identity of it");
  return { actor, ref: isObjectId(ref) ? ref : undefined, node: isNodeId(node) ? node : undefined };
}
