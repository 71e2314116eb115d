/** A report of memory as text for people. */
import type {
  MemoryReport,
  NodeReport,
  ObjectRow,
  OriginReport,
  Owner,
  ProcessReport,
} from "./memory-report.js";
import { table } from "./output.js";
import { describeAll } from "./store-line.js";
import { showAge, showBytes, showCount } from "./values.js";

export type GroupBy = "node" | "owner" | "origin";

/** What is to be seen of it. */
export interface TextOptions {
  groupBy: GroupBy;
  /** Objects per group. */
  limit: number;
  /** No objects, only figures. */
  statsOnly: boolean;
}

/** Objects of one node, owner or place, in the order in which they are shown. */
interface Group {
  title: string;
  rows: ObjectRow[];
}

export function describeMemory(report: MemoryReport, o: TextOptions): string {
  const { cluster, servers, nodes } = report;
  const blocks = [
    `Cluster "${cluster}" on ${servers.join(", ")}: ${showCount(nodes.length, "node")}`,
    ...nodes.map(describeNode),
  ];
  if (o.statsOnly) return blocks.join("\n");
  for (const { title, rows } of groupsOf(nodes, o.groupBy)) blocks.push("", title, ...describeRows(rows, o));
  const unnamed = nodes.filter(({ more }) => more > 0);
  for (const { node, more, moreBytes } of unnamed)
    blocks.push(`Node ${node} has ${showCount(more, "further object")} of ${showBytes(moreBytes)} in all.`);
  const remark = unnamed.length === 0 ? "" : " (of the objects that the nodes named)";
  if (report.byOwner.length > 0) blocks.push("", `By process${remark}:`, processTable(report.byOwner));
  if (report.byOrigin.length > 0)
    blocks.push("", `By place of creation${remark}:`, originTable(report.byOrigin));
  return blocks.join("\n");
}

function describeNode({ node, hostname, state, figures, failed }: NodeReport): string {
  const name = `Node ${node} on ${hostname}${state === "ALIVE" ? "" : ` (${state})`}`;
  if (figures === undefined) return `${name} does not answer: ${failed ?? "no reason given"}`;
  const [now, inAll] = describeAll(figures);
  return `${name}: ${now}\n  ${inAll}`;
}

function groupsOf(nodes: readonly NodeReport[], by: GroupBy): Group[] {
  if (by === "node") {
    return nodes
      .filter(({ figures }) => figures !== undefined)
      .map(({ node, objects }) => ({ title: `Objects on ${node}:`, rows: objects }));
  }
  const groups = new Map<string, Group>();
  for (const row of nodes.flatMap(({ objects }) => objects)) {
    const key = by === "owner" ? row.owner.process : (row.origin ?? "");
    let group = groups.get(key);
    if (group === undefined) {
      const title =
        by === "owner" ? `Objects of ${describeOwner(row.owner)}:` : `Objects made ${placeOf(row.origin)}:`;
      groups.set(key, (group = { title, rows: [] }));
    }
    group.rows.push(row);
  }
  const bytes = ({ rows }: Group): number => rows.reduce((sum, { size }) => sum + size, 0);
  return [...groups.values()].toSorted((a, b) => bytes(b) - bytes(a));
}

function describeRows(rows: readonly ObjectRow[], { groupBy, limit }: TextOptions): string[] {
  if (rows.length === 0) return ["  none"];
  const columns: [heading: string, cell: (row: ObjectRow) => string][] = [
    ["OBJECT", (row) => row.object],
    ...(groupBy === "node"
      ? []
      : [["NODE", (row: ObjectRow) => row.node] as [string, (row: ObjectRow) => string]]),
    ["OWNER", (row) => describeOwner(row.owner)],
    ["SIZE", (row) => showBytes(row.size)],
    ["STATE", (row) => (row.copy ? `${row.state}, copy` : row.state)],
    ["PINNED", (row) => (row.pinned ? "yes" : "no")],
    ["REFERENCES", describeReferences],
    ["AGE", (row) => showAge(row.ageMs)],
    ["MADE", (row) => placeOf(row.origin)],
  ];
  const shown = rows.slice(0, limit);
  const left = rows.slice(limit);
  const text = table([
    columns.map(([heading]) => heading),
    ...shown.map((row) => columns.map(([, cell]) => cell(row))),
  ]);
  if (left.length === 0) return [text];
  const bytes = left.reduce((sum, { size }) => sum + size, 0);
  return [text, `  and ${showCount(left.length, "more object")} of ${showBytes(bytes)} (see --limit)`];
}

function describeOwner({ process, kind, state, pid, node }: Owner): string {
  const what: Record<Owner["state"], string> = {
    there: `${kind} ${process} (pid ${pid}, ${node})`,
    silent: `${kind} ${process} (${node}, does not answer)`,
    gone: `${kind} ${process} (owner gone)`,
    unknown: `${kind} ${process} (not found on the nodes that answer)`,
  };
  return what[state];
}

function describeReferences({ references }: ObjectRow): string {
  if (references === undefined) return "?";
  if (references === "none") return "none";
  if (references === "unsent") return "in its owner only";
  const { handles, pins, borrowers } = references;
  const parts = [
    handles > 0 && showCount(handles, "handle"),
    pins > 0 && showCount(pins, "pin"),
    borrowers > 0 && showCount(borrowers, "borrower"),
  ].filter((part) => part !== false);
  return parts.length === 0 ? "none" : parts.join(", ");
}

const placeOf = (origin: string | undefined): string =>
  origin === undefined || origin === "" ? "at an unknown place" : origin;

function processTable(reports: readonly ProcessReport[]): string {
  const heading = [
    "PROCESS",
    "OBJECTS",
    "BYTES",
    "IN COPIES",
    "OWNS",
    "BORROWS",
    "SMALL, OWN MEMORY",
    "SMALL, SHARED",
  ];
  const rows = reports.map((report) => {
    const { memory } = report;
    const said =
      memory === undefined
        ? ["?", "?", "?", "?"]
        : [
            String(memory.owned),
            String(memory.borrowed),
            showBytes(memory.inlineBytes),
            showBytes(memory.slabBytes),
          ];
    return [
      describeOwner(report),
      String(report.objects),
      showBytes(report.bytes),
      showBytes(report.copyBytes),
      ...said,
    ];
  });
  return table([heading, ...rows]);
}

function originTable(reports: readonly OriginReport[]): string {
  const rows = reports.map(({ origin, objects, bytes, copyBytes }) => [
    placeOf(origin),
    String(objects),
    showBytes(bytes),
    showBytes(copyBytes),
  ]);
  return table([["MADE", "OBJECTS", "BYTES", "IN COPIES"], ...rows]);
}
