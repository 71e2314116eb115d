/**
 * The states of a placement group's row and the one function that changes them. Rows are written by compare-and-set on
 * their revision, so of two agents that act on the same row one wins, and the other looks again.
 *
 * `agent` is the one that looks for nodes while the group is PENDING or RESCHEDULING; another may claim it when that is
 * gone. What was reserved counts only once the row names it: whoever reserved for a row that was never written gives
 * it back.
 */
import type { GroupRow } from "@stingray/gcs-kv";
import type { GroupView, WireError } from "@stingray/protocol";

export type GroupEvent =
  /** An agent takes it on itself to find nodes. */
  | { kind: "claimed"; agent: string }
  /** The bundles that had no node are reserved on these, by index. */
  | { kind: "placed"; agent: string; nodes: ReadonlyMap<number, string> }
  /** It still waits, for this. */
  | { kind: "waits"; agent: string; cause: WireError }
  /** What `isLost` says of a bundle's node or index is no longer there. `agent` finds another place. */
  | { kind: "lost"; agent: string; isLost: (node: string, index: number) => boolean; cause: WireError }
  /** It ends for good. */
  | { kind: "removed"; cause: WireError };

/** The row after the event, or undefined where the event is stale or changes nothing. */
export function nextGroupRow(row: GroupRow, event: GroupEvent): GroupRow | undefined {
  if (row.state === "REMOVED") return undefined;
  const { cause: _cause, ...rest } = row;
  switch (event.kind) {
    case "claimed":
      return row.state === "CREATED" || row.agent === event.agent
        ? undefined
        : { ...row, agent: event.agent };
    case "placed":
      return placed(row, event);
    case "waits":
      if (row.state === "CREATED" || row.agent !== event.agent) return undefined;
      return row.cause?.message === event.cause.message ? undefined : { ...row, cause: event.cause };
    case "lost": {
      if (!row.nodes.some((node, index) => node !== "" && event.isLost(node, index))) return undefined;
      // On one node or none: what is left of it can't be added to elsewhere.
      const all = row.strategy === "STRICT_PACK";
      const nodes = row.nodes.map((node, index) => (all || event.isLost(node, index) ? "" : node));
      return { ...rest, state: "RESCHEDULING", agent: event.agent, nodes, cause: event.cause };
    }
    case "removed":
      return { ...rest, state: "REMOVED", nodes: row.nodes.map(() => ""), cause: event.cause };
  }
}

function placed(row: GroupRow, event: Extract<GroupEvent, { kind: "placed" }>): GroupRow | undefined {
  if (row.state === "CREATED" || row.agent !== event.agent) return undefined;
  // More may have been lost since it was planned: those are placed next. A new group comes whole.
  const nodes = row.nodes.map((node, index) => (node === "" ? (event.nodes.get(index) ?? "") : node));
  const whole = !nodes.includes("");
  if (!whole && row.state === "PENDING") return undefined;
  const { cause: _cause, ...rest } = row;
  return whole ? { ...rest, state: "CREATED", nodes } : { ...row, nodes };
}

/** What users are told of a row. */
export function groupViewOf({ agent: _agent, ...row }: GroupRow, revision: number): GroupView {
  return { ...row, revision };
}

/** `placement group "g" (b123…)`, for messages. */
export function describeGroup({ group, name }: Pick<GroupRow, "group" | "name">): string {
  return `placement group ${name === undefined ? "" : `"${name}" `}(${group})`;
}
