/** What the stores and processes of a cluster said, put together: whose each object is, and who needs it. */
import {
  isAgentId,
  isDriverId,
  ownerOf,
  type HeldObject,
  type NodeView,
  type ObjectId,
  type ProcessMemory,
  type StoredObject,
  type StoreFigures,
} from "@stingray/protocol";
import { HELD_AT_LEAST } from "../agent/store/listing.js";
import type { NodeAnswer } from "./store-listings.js";

/**
 * - `there`: it answered
 * - `silent`: its node knows it, but it did not answer in time
 * - `gone`: no node knows it: nobody will free the object but the end of its job
 * - `unknown`: the same, but some node did not answer
 */
export type OwnerState = "there" | "silent" | "gone" | "unknown";

export interface Owner {
  process: string;
  kind: "driver" | "worker" | "agent";
  state: OwnerState;
  pid?: number | undefined;
  /** That serves it. */
  node?: string | undefined;
}

/** As the owner counts them. */
export interface References {
  handles: number;
  pins: number;
  borrowers: number;
}

export interface ObjectRow extends StoredObject {
  node: string;
  owner: Owner;
  /**
   * - `unsent`: its owner names only what it has sent to others, and this is not among it
   * - `none`: its owner does not know the object (any more)
   *
   * Undefined: nobody could say.
   */
  references: References | "unsent" | "none" | undefined;
}

export interface NodeReport {
  node: string;
  hostname: string;
  state: NodeView["state"];
  /** Why there are no figures and no objects of it. */
  failed?: string | undefined;
  figures?: StoreFigures | undefined;
  objects: ObjectRow[];
  /** Objects that the node did not name, and their bytes. */
  more: number;
  moreBytes: number;
}

/** One process, with the objects of it that were named. */
export interface ProcessReport extends Owner {
  /** Objects in stores that are not copies, and their bytes. */
  objects: number;
  bytes: number;
  /** Bytes of copies of them on other nodes. */
  copyBytes: number;
  /** As it says itself; absent where it says nothing. */
  memory?: Omit<ProcessMemory, "objects"> | undefined;
}

export interface OriginReport {
  /** Empty: not known. */
  origin: string;
  objects: number;
  bytes: number;
  copyBytes: number;
}

export interface MemoryReport {
  cluster: string;
  servers: string[];
  nodes: NodeReport[];
  /** Largest first. */
  byOwner: ProcessReport[];
  byOrigin: OriginReport[];
}

/** What is looked at; everything where nothing is given. */
export interface Focus {
  /** Only objects on this node. */
  node?: string | undefined;
  /** Only objects of this process. */
  owner?: string | undefined;
}

/**
 * @param answers of all nodes, whatever is looked at: owners of objects on one node may be on another
 * @returns with the objects of each node as it named them, and totals of those objects
 */
export function reportOf(
  found: { cluster: string; servers: string[] },
  answers: readonly NodeAnswer[],
  focus: Focus = {},
): MemoryReport {
  const processes = new Processes(answers);
  const isSeen = (wanted: string | undefined, is: string | undefined): boolean =>
    wanted === undefined || wanted === is;
  const nodes = answers
    .filter(({ node }) => isSeen(focus.node, node.node))
    .map((answer): NodeReport => {
      const { node, hostname, state } = answer.node;
      if (answer.kind === "failed")
        return { node, hostname, state, failed: answer.reason, objects: [], more: 0, moreBytes: 0 };
      const { figures, objects, more, moreBytes } = answer.listing;
      const rows = objects.map((object): ObjectRow => {
        const owner = processes.owner(ownerOf(object.object as ObjectId));
        return { ...object, node, owner, references: processes.referencesTo(object.object, owner) };
      });
      const seen = rows.filter(({ owner }) => isSeen(focus.owner, owner.process));
      return { node, hostname, state, figures, objects: seen, more, moreBytes };
    });
  const rows = nodes.flatMap(({ objects }) => objects);
  const byOwner = processes
    .reports(rows)
    .filter((one) => isSeen(focus.owner, one.process))
    .filter((one) => isSeen(focus.node, one.node) || one.bytes + one.copyBytes > 0);
  return { cluster: found.cluster, servers: found.servers, nodes, byOwner, byOrigin: originsOf(rows) };
}

/** The processes of the cluster, by what they and their nodes say. */
class Processes {
  private readonly owners = new Map<string, Owner>();
  private readonly memories = new Map<string, { memory: ProcessMemory; held: Map<string, HeldObject> }>();
  private readonly complete: boolean;

  constructor(answers: readonly NodeAnswer[]) {
    this.complete = answers.every(({ kind }) => kind === "answered");
    for (const answer of answers) {
      if (answer.kind !== "answered") continue;
      const { node } = answer.node;
      for (const process of answer.listing.silent)
        this.owners.set(process, { process, kind: kindOf(process), state: "silent", node });
      for (const memory of answer.listing.processes) {
        const { process, pid } = memory;
        this.owners.set(process, { process, kind: kindOf(process), state: "there", pid, node });
        const held = new Map(memory.objects.map((one) => [one.object, one]));
        this.memories.set(process, { memory, held });
      }
    }
  }

  owner(process: string): Owner {
    const state = this.complete ? "gone" : "unknown";
    return this.owners.get(process) ?? { process, kind: kindOf(process), state };
  }

  referencesTo(object: string, owner: Owner): ObjectRow["references"] {
    const known = this.memories.get(owner.process);
    if (known === undefined) return undefined;
    const held = known.held.get(object);
    if (held !== undefined) {
      const { handles, pins, borrowers } = held;
      return { handles, pins, borrowers };
    }
    const { owned, borrowed, objects } = known.memory;
    if (objects.length >= owned + borrowed) return "none";
    // Of more than these it may have left some out.
    return objects.length < HELD_AT_LEAST ? "unsent" : undefined;
  }

  /** All that are there, and those that are gone and left objects. */
  reports(rows: readonly ObjectRow[]): ProcessReport[] {
    const reports = new Map<string, ProcessReport>();
    const add = (owner: Owner): ProcessReport => {
      const known = this.memories.get(owner.process)?.memory;
      const { objects: _objects, ...memory } = known ?? { objects: undefined };
      const made: ProcessReport = {
        ...owner,
        ...emptyTotals(),
        memory: known && (memory as ProcessReport["memory"]),
      };
      reports.set(owner.process, made);
      return made;
    };
    for (const owner of this.owners.values()) add(owner);
    for (const row of rows) count(reports.get(row.owner.process) ?? add(row.owner), row);
    return [...reports.values()].toSorted((a, b) => b.bytes - a.bytes);
  }
}

function originsOf(rows: readonly ObjectRow[]): OriginReport[] {
  const reports = new Map<string, OriginReport>();
  for (const row of rows) {
    const origin = row.origin ?? "";
    let report = reports.get(origin);
    if (report === undefined) reports.set(origin, (report = { origin, ...emptyTotals() }));
    count(report, row);
  }
  return [...reports.values()].toSorted((a, b) => b.bytes - a.bytes);
}

const emptyTotals = (): Totals => ({ objects: 0, bytes: 0, copyBytes: 0 });

interface Totals {
  objects: number;
  bytes: number;
  copyBytes: number;
}

function count(totals: Totals, row: ObjectRow): void {
  if (row.copy) totals.copyBytes += row.size;
  else {
    totals.objects++;
    totals.bytes += row.size;
  }
}

function kindOf(process: string): Owner["kind"] {
  return isDriverId(process) ? "driver" : isAgentId(process) ? "agent" : "worker";
}
