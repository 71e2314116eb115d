/** What others are told of a drain: the row of the node says so from the first thing on that is waited for. */
import { setTimeout as pause } from "node:timers/promises";
import type { Table, NodeRow } from "@stingray/gcs-kv";
import { ConnectionError } from "@stingray/protocol";
import * as t from "../tokens.js";
import { describeOutcome } from "./text.js";

/** The row is written by few, and seldom: so many lost races are none. */
const MAX_ATTEMPTS = 20;
/** Between two attempts, at most. Milliseconds. */
const ATTEMPT_MS = 20;

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
  const { nodes } = get(t.TABLES);
  drain.onBegin((reason) => {
    listeners.begun();
    get(t.BUNDLE_HOST).drain();
    writeRow(nodes, node, reason).catch((error: unknown) =>
      get(t.FAILED)("write down that this node is being drained", error),
    );
  });
  drain.onLeft((reason) => {
    const { lines, lost } = describeOutcome(node, drain.view());
    if (lost) for (const line of lines) log(line);
    listeners.left(reason);
  });
  return () => drain.stop();
}

/**
 * Others write the row, too, such as what the node has: it is written anew until it says so, or says more.
 * @throws ConnectionError where it is not written after many attempts, or the control store can't be reached
 */
export async function writeRow(
  nodes: Pick<Table<NodeRow>, "get" | "update">,
  node: string,
  reason: string,
): Promise<void> {
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    const row = await nodes.get(node);
    if (row === undefined || row.value.state !== "ALIVE") return;
    const written = await nodes.update(node, { ...row.value, state: "DRAINING", reason }, row.revision);
    if (written.ok) return;
    await pause(Math.random() * ATTEMPT_MS);
  }
  throw new ConnectionError(`the row of node ${node} changed ${MAX_ATTEMPTS} times meanwhile`);
}
