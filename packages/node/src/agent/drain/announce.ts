/** What others are told of a drain: the row of the node says so from the first thing on that is waited for. */
import * as t from "../tokens.js";
import { describeOutcome } from "./text.js";

export interface DrainListeners {
  /** There is something to wait for: no role and no driver is to be taken on meanwhile. */
  begun(): void;
  /** Nothing is left to wait for: the agent may end. */
  left(reason: string): void;
}

/** @returns ends the drain, whatever is left */
export function announceDrain(get: t.Get, listeners: DrainListeners): () => void {
  const drain = get(t.DRAIN);
  const { node, log } = get(t.CONFIG);
  const { nodes, nodeCache } = get(t.TABLES);
  drain.onBegin((reason) => {
    listeners.begun();
    get(t.BUNDLE_HOST).drain();
    const row = nodeCache.get(node);
    if (row === undefined || row.value.state !== "ALIVE") return;
    nodes
      .update(node, { ...row.value, state: "DRAINING", reason }, row.revision)
      .catch((error: unknown) => get(t.FAILED)("write down that this node is being drained", error));
  });
  drain.onLeft((reason) => {
    const { lines, lost } = describeOutcome(node, drain.view());
    if (lost) for (const line of lines) log(line);
    listeners.left(reason);
  });
  return () => drain.stop();
}
