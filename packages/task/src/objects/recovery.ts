/**
 * What is done about a value whose copies can't be read: its owner looks for other copies, then makes it again. Each
 * way is a {@link Recovery}; they are tried in order, and later ones (a holder that adopts the object of a dead owner)
 * are added to the list.
 */
import {
  Agent,
  ObjectLostError,
  Owner,
  ValueKind,
  toError,
  type Location,
  type NodeId,
  type ObjectId,
  type ProcessId,
  type ValueDesc,
} from "@stingray/protocol";
import type { Channel, Endpoint } from "@stingray/broker";
import type { Execution } from "../context.js";
import type { Home } from "../home.js";
import { unready } from "../ready.js";
import type { ObjectEntry } from "./entry.js";
import { stateOf } from "./state.js";
import type { ObjectTable } from "./table.js";

/** Looking for copies may ask the control store. Milliseconds. */
const LOCATE_MS = 5_000;
/** Making a value again may take as long as the task that made it. Milliseconds. */
const RECOVER_MS = 24 * 3_600_000;

/** One way to get a lost value back. Only the owner goes it. */
export interface Recovery {
  readonly name: string;
  /** @param failed nodes whose copies could not be read. True: the entry has, or will have, another value or location. */
  recover(entry: ObjectEntry, failed: ReadonlySet<string>): boolean | Promise<boolean>;
}

export interface RecoveryLinks {
  readonly table: ObjectTable;
  home(): Home;
  channelTo(process: ProcessId, node: NodeId | undefined): Channel;
  /** Has these copies dropped. */
  freeStored(id: ObjectId, location: Location): void;
}

export class Recoveries {
  private readonly ways: Recovery[];
  /** The owner recovers each object once at a time. */
  private readonly underWay = new Map<ObjectEntry, Promise<boolean>>();

  constructor(private readonly links: RecoveryLinks) {
    this.ways = [
      { name: "other copies", recover: (entry, failed) => this.findCopies(entry, failed) },
      { name: "run its task again", recover: (entry) => entry.rebuild?.() === true },
    ];
  }

  /** Serves those that hold references to objects of this process. */
  serve(inbox: Endpoint): void {
    inbox.serve(Owner.recover, async ({ object, failed, generation }) => {
      const { table } = this.links;
      const entry = table.lookup(object as ObjectId);
      if (entry === undefined || !entry.owned) {
        return { value: unknown(`object ${object} is not known to its owner: it was freed`) };
      }
      table.pin(entry);
      try {
        const { state } = entry;
        const bad = new Set(failed);
        const left = state.kind === "stored" ? without(state.location, bad) : undefined;
        // Whoever comes late with the loss of an earlier one must not cost us this one.
        if (state.kind === "stored" && generation < entry.generation) return { value: table.describe(entry) };
        if (left !== undefined)
          return { value: [ValueKind.Stored, [left[0], left[1], entry.generation], object] };
        if (state.kind === "stored" && !(await this.recoverOwned(entry, bad)))
          return { value: unknown(`object ${object} is lost: ${explain(entry)}`) };
        await new Promise<void>((ready) => entry.whenReady(ready));
        return { value: table.describe(entry) };
      } finally {
        table.unpin(entry);
      }
    });
  }

  /**
   * Another location or value for what could not be read at `tried`.
   * @param failed all nodes whose copies this reader could not read
   * @param execution the task that waits for it; others may have its place meanwhile
   * @throws ObjectLostError where there is no way; `error` is its cause
   */
  async recover(
    entry: ObjectEntry,
    tried: Location,
    failed: ReadonlySet<string>,
    error: ObjectLostError,
    execution: Execution | undefined,
  ): Promise<void> {
    const { state } = entry;
    if (state.kind !== "stored" || state.location !== tried) return; // somebody else was faster
    const what = unready([entry], undefined);
    execution?.block(what);
    try {
      if (entry.owned) {
        if (!(await this.recoverOwned(entry, failed))) throw explained(error, entry);
        await new Promise<void>((ready) => entry.whenReady(ready));
      } else {
        const desc = await this.ask(entry.id, entry.owner, entry.ownerNode, failed, tried[2], error);
        this.links.table.replace(entry, stateOf(desc));
      }
    } finally {
      execution?.resume(what);
    }
  }

  /** The same for a value whose entry this process does not have: an argument that came as a location. */
  async recoverDesc(
    id: ObjectId,
    owner: ProcessId,
    tried: Location,
    failed: ReadonlySet<string>,
    error: ObjectLostError,
    execution: Execution | undefined,
  ): Promise<ValueDesc> {
    execution?.block();
    try {
      return await this.ask(id, owner, undefined, failed, tried[2], error);
    } finally {
      execution?.resume();
    }
  }

  private async ask(
    id: ObjectId,
    owner: ProcessId,
    ownerNode: NodeId | undefined,
    failed: ReadonlySet<string>,
    generation: number,
    error: ObjectLostError,
  ): Promise<ValueDesc> {
    try {
      const { value } = await this.links
        .channelTo(owner, ownerNode)
        .request(Owner.recover, { object: id, failed: [...failed], generation }, { timeoutMs: RECOVER_MS });
      return value;
    } catch (unreachable) {
      // The owner is gone; a copy may have outlived it.
      const location = await this.locate(id, failed);
      if (location !== undefined) return [ValueKind.Stored, location, id];
      throw new ObjectLostError(
        `${error.message}; its owner, process ${owner}, can't be asked for another: ${toError(unreachable).message}`,
        { cause: error, detail: { object: id } },
      );
    }
  }

  private recoverOwned(entry: ObjectEntry, failed: ReadonlySet<string>): Promise<boolean> {
    let going = this.underWay.get(entry);
    if (going === undefined) {
      going = this.tryAll(entry, failed).finally(() => this.underWay.delete(entry));
      this.underWay.set(entry, going);
    }
    return going;
  }

  private async tryAll(entry: ObjectEntry, failed: ReadonlySet<string>): Promise<boolean> {
    for (const way of this.ways) if (await way.recover(entry, failed)) return true;
    return false;
  }

  private async findCopies(entry: ObjectEntry, failed: ReadonlySet<string>): Promise<boolean> {
    if (entry.state.kind !== "stored") return true;
    const known = without(entry.state.location, failed);
    const location = known ?? (await this.locate(entry.id, failed));
    if (location === undefined || location[0] !== entry.state.location[0]) return false;
    const dropped = entry.state.location[1].filter(([node]) => failed.has(node));
    this.links.table.replace(entry, { kind: "stored", location });
    // Nobody is told of them any more, so nobody would free what may still be there.
    if (dropped.length > 0) this.links.freeStored(entry.id, [location[0], dropped, entry.generation]);
    return true;
  }

  private async locate(id: ObjectId, failed: ReadonlySet<string>): Promise<Location | undefined> {
    const answer = await this.links
      .home()
      .request(Agent.storeLocate, { object: id }, { timeoutMs: LOCATE_MS })
      .catch(() => undefined); // then there is no help from there
    return answer && without([answer.size, answer.copies, 0], failed);
  }
}

/** The copies that have not failed; undefined: there is none. */
function without([size, copies, generation]: Location, failed: ReadonlySet<string>): Location | undefined {
  const left = copies.filter(([node]) => !failed.has(node));
  return left.length === 0 ? undefined : [size, left, generation];
}

function unknown(why: string): ValueDesc {
  return [ValueKind.Unknown, why];
}

function explain(entry: ObjectEntry): string {
  return entry.rebuild === undefined
    ? "no other node has a copy, and it can't be made again (it was put, or made by an actor); keep more copies with put(value, { copies: 2 })"
    : "no other node has a copy, and its task has no retries left; give it more maxRetries";
}

function explained(error: ObjectLostError, entry: ObjectEntry): ObjectLostError {
  return new ObjectLostError(`${error.message}; ${explain(entry)}`, {
    cause: error,
    detail: { object: entry.id },
  });
}
