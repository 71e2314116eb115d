/**
 * Where large objects are: every agent says which it has got and which it has no longer. Loss is allowed: it is a
 * second source beside the owner, and who finds no copy where one was said to be asks elsewhere.
 */
import {
  bool,
  isNodeId,
  isObjectId,
  isProcessId,
  list,
  shape,
  tuple,
  uint,
  type NodeId,
  type ProcessId,
} from "@stingray/protocol";
import { decodeFeed, encodeFeed } from "./codec.js";

/** What changed at one node. */
export interface ObjectNews {
  node: NodeId;
  agent: ProcessId;
  /** This is all that the node has; what was known of it before is void. More may follow. */
  complete: boolean;
  /** Size in bytes. */
  added: [object: string, size: number][];
  removed: string[];
}

const KIND = "objects";
/** Most objects that are accepted in one message: more of them don't fit into its bytes. */
const MAX_OBJECTS = 1 << 16;
/** Largest message that is made, in bytes: half of what is accepted of any feed. */
const TARGET_BYTES = 1 << 19;
/** Bytes that one object takes at most: an id of 41 characters and a size, with their heads. */
const OBJECT_BYTES = 56;
/** All of a message that is not objects. */
const FRAME_BYTES = 128;

const objectId = shape(isObjectId, "an object id");
const nodeId = shape(isNodeId, "a node id");
const processId = shape(isProcessId, "a process id");
const addedList = list(tuple<[object: string, size: number]>(objectId, uint), MAX_OBJECTS);
const removedList = list(objectId, MAX_OBJECTS);

/**
 * News as CBOR arrays `[version, "objects", node, agent, complete, [[object, size], …], [object, …]]`, as few as fit.
 * Of several only the first says that it is complete, so they must arrive in this order.
 * @param maxBytes largest message, in bytes; never more than 512 KiB are used. Default: these
 */
export function encodeObjectNews(news: ObjectNews, maxBytes = TARGET_BYTES): Uint8Array[] {
  const room = Math.max(1, Math.floor((Math.min(maxBytes, TARGET_BYTES) - FRAME_BYTES) / OBJECT_BYTES));
  const messages: Uint8Array[] = [];
  let added = 0;
  let removed = 0;
  do {
    // First what is gone: an object that is in both was made again.
    const less = news.removed.slice(removed, removed + room);
    const more = news.added.slice(added, added + room - less.length);
    const complete = news.complete && messages.length === 0;
    messages.push(encodeFeed(KIND, [news.node, news.agent, complete, more, less]));
    added += more.length;
    removed += less.length;
  } while (added < news.added.length || removed < news.removed.length);
  return messages;
}

/** One message of {@link encodeObjectNews}. @throws ProtocolError for another version, kind or shape */
export function decodeObjectNews(data: Uint8Array): ObjectNews {
  const items = decodeFeed(KIND, data);
  return {
    node: nodeId(items[0], "objects.node"),
    agent: processId(items[1], "objects.agent"),
    complete: bool(items[2], "objects.complete"),
    added: addedList(items[3], "objects.added"),
    removed: removedList(items[4], "objects.removed"),
  };
}
