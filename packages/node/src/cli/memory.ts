/** `stingray memory`: what is in the object stores, whose it is, who needs it, and where it was made. */
import { ConnectionError, InvalidOptionError, isNodeId, isProcessId } from "@stingray/protocol";
import { findClusters, type ClusterFlags } from "./cluster-state.js";
import { reportOf, type MemoryReport, type ObjectRow } from "./memory-report.js";
import { describeMemory, type GroupBy } from "./memory-text.js";
import type { Output } from "./output.js";
import { askStores } from "./store-listings.js";

export interface MemoryFlags extends ClusterFlags {
  json?: boolean;
  statsOnly?: boolean;
  groupBy: GroupBy;
  sort: "size" | "age";
  limit: number;
  /** Only objects on this node. */
  node?: string;
  /** Only objects of this process. */
  owner?: string;
}

/** Objects asked of each node: more than are shown, so that those that are left after a filter are among them. */
const ASKED = 2_000;

/**
 * @returns the exit code: 1 where no node answers
 * @throws ConnectionError where nothing runs or nothing answers, or --node is not there; InvalidOptionError for what is
 * no id
 */
export async function showMemory(flags: MemoryFlags, runtimeDir: string, out: Output): Promise<number> {
  checkIds(flags);
  const found = await findClusters(flags, runtimeDir, out);
  const { node, owner, groupBy, limit, statsOnly = false } = flags;
  const all = await Promise.all(
    found.map(async (one) =>
      reportOf(one, await askStores(one, flags, Math.max(ASKED, limit)), { node, owner }),
    ),
  );
  const reports = all.filter(({ nodes }) => nodes.length > 0).map((report) => sorted(report, flags.sort));
  if (node !== undefined && reports.length === 0) {
    const there = found.flatMap(({ nodes }) => nodes.filter(({ state }) => state !== "DEAD"));
    throw new ConnectionError(
      `there is no live node ${node}; there are: ${there.map((one) => one.node).join(", ")}`,
    );
  }
  if (flags.json === true)
    out.say(JSON.stringify({ clusters: reports.map((one) => cut(one, flags)) }, undefined, 2));
  else out.say(reports.map((one) => describeMemory(one, { groupBy, limit, statsOnly })).join("\n\n"));
  return reports.some(({ nodes }) => nodes.some(({ figures }) => figures !== undefined)) ? 0 : 1;
}

function checkIds({ node, owner }: MemoryFlags): void {
  if (node !== undefined && !isNodeId(node))
    throw new InvalidOptionError(`--node: "${node}" is no id of a node; stingray status shows them`);
  if (owner !== undefined && !isProcessId(owner)) {
    throw new InvalidOptionError(
      `--owner: "${owner}" is no id of a process; stingray memory shows them, and objects' ids begin with them`,
    );
  }
}

function sorted(report: MemoryReport, by: "size" | "age"): MemoryReport {
  const order = (a: ObjectRow, b: ObjectRow): number => (by === "age" ? b.ageMs - a.ageMs : b.size - a.size);
  const nodes = report.nodes.map((node) => ({ ...node, objects: node.objects.toSorted(order) }));
  return { ...report, nodes };
}

/** Without the objects beyond the limit, which are counted with those that the node did not name. */
function cut(report: MemoryReport, { limit, statsOnly }: MemoryFlags): MemoryReport {
  const most = statsOnly === true ? 0 : limit;
  const nodes = report.nodes.map((node) => {
    const left = node.objects.slice(most);
    return {
      ...node,
      objects: node.objects.slice(0, most),
      more: node.more + left.length,
      moreBytes: node.moreBytes + left.reduce((sum, { size }) => sum + size, 0),
    };
  });
  return { ...report, nodes };
}
