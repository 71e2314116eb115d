/** The handle of an object: what `.remote()` and `put` return and `get` takes. */
import { WIRE } from "@stingray/objectstore";
import { InvalidArgumentError, type ObjectId } from "@stingray/protocol";
import { processState } from "../process-state.js";
import type { ObjectEntry } from "./entry.js";
import type { ObjectTable } from "./table.js";

const BRAND = Symbol.for("stingray.ObjectRef");
/** Name of references in encoded values. */
export const REF_TAG = "ref";

/** Gives back what a collected handle held. The held value must not lead to the handle itself. */
const collected = new FinalizationRegistry<{ table: ObjectTable; entry: ObjectEntry }>(({ table, entry }) =>
  table.dropHandle(entry),
);

/**
 * A reference to a value that exists, or will exist, somewhere in the cluster. Immutable. Not thenable, so that a
 * promise of a reference stays one: use `await get(ref)`.
 *
 * The value is kept while any process holds a reference to it. `release()` (or `using`) lets go early; otherwise
 * the garbage collector does.
 */
export class ObjectRef<T = unknown> implements Disposable {
  declare readonly [BRAND]: true;
  /** Types only: what the reference refers to. */
  declare readonly __type?: T;
  /** @internal */ readonly entry: ObjectEntry;
  private readonly table: ObjectTable;
  private live = true;

  /** @internal Made by the object table. */
  constructor(table: ObjectTable, entry: ObjectEntry) {
    this.table = table;
    this.entry = entry;
    entry.handles++;
    collected.register(this, { table, entry }, this);
  }

  /** `<process>.<sequence>.<index>`; the process is the owner. */
  get id(): ObjectId {
    return this.entry.id;
  }

  /** Lets go of the value now. A released reference can't be used any more; releasing twice is no error. */
  release(): void {
    if (!this.live) return;
    this.live = false;
    collected.unregister(this);
    this.table.dropHandle(this.entry);
  }

  [Symbol.dispose](): void {
    this.release();
  }

  /** True after `release()`. */
  get released(): boolean {
    return !this.live;
  }

  /** @internal Why it can't be used now; undefined where it can. */
  get unusable(): string | undefined {
    if (!this.live)
      return `reference ${this.id} was released; keep a reference as long as its value is needed`;
    const runtime = processState.runtime;
    if (runtime !== undefined && runtime.table !== this.table)
      return `reference ${this.id} is of the cluster that shutdown() ended; make its value again in this one`;
    return undefined;
  }

  /** @internal How it travels inside values. */
  [WIRE](): { tag: string; data: unknown; refs: string[] } {
    const { unusable } = this;
    if (unusable !== undefined) throw new InvalidArgumentError(unusable);
    this.table.publish(this.entry);
    const { id, ownerNode } = this.entry;
    return { tag: REF_TAG, data: ownerNode === undefined ? [id] : [id, ownerNode], refs: [id] };
  }

  toString(): string {
    return `ObjectRef(${this.id})`;
  }

  toJSON(): string {
    return this.toString();
  }

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return this.toString();
  }
}
Object.defineProperty(ObjectRef.prototype, BRAND, { value: true });

/** Whether a value is a reference (of this or another copy of the package). */
export function isObjectRef(value: unknown): value is ObjectRef {
  return typeof value === "object" && value !== null && (value as { [BRAND]?: unknown })[BRAND] === true;
}
