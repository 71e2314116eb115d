/**
 * One object as this process knows it: owned (this process submitted the task or put the value) or borrowed (it
 * holds a reference whose owner is elsewhere). Architecture section 4; the borrowing protocol is Ray's (NSDI'21,
 * "Ownership"), with counted borrows.
 */
import { objectIdOf, type NodeId, type ObjectId, type ProcessId, type Location } from "@stingray/protocol";
import type { ObjectRef } from "./object-ref.js";

/** A small value in this process's slab of shared memory. */
export interface SlabValue {
  /** The encoded bytes; valid until freed. */
  readonly bytes: Uint8Array;
  free(): void;
}

/**
 * What is known of the value.
 *
 * - `pending`: the task has not ended, or the owner has not answered yet
 * - `inline`: the encoded value, in this process's memory
 * - `slab`: the encoded value, in this process's part of shared memory
 * - `stored`: it lies in the stores of nodes
 * - `error`: an encoded error, which is what `get` throws
 */
export type ObjectState =
  | { readonly kind: "pending" }
  | { readonly kind: "inline"; readonly bytes: Uint8Array }
  | { readonly kind: "slab"; readonly value: SlabValue }
  | { readonly kind: "stored"; readonly location: Location }
  | { readonly kind: "error"; readonly bytes: Uint8Array };

const PENDING: ObjectState = { kind: "pending" };

export class ObjectEntry {
  state: ObjectState = PENDING;
  /** References that user code or a value holds in this process. */
  handles = 0;
  /** Other reasons to keep it: an argument of a task in flight, a transfer that waits for its receiver. */
  pins = 0;
  /** Owned: borrows by process. */
  borrowers: Map<ProcessId, number> | undefined;
  /** Borrowed: how many borrows the owner has noted for this process. */
  notes = 0;
  /** Borrowed: the owner was asked for the value. */
  asked = false;
  /** References inside the value, held as long as the value is. */
  contained: ObjectRef[] | undefined;
  /** In the table, so that others can name it. */
  published = false;
  /** Owned: copies of the lost value that may still be somewhere, until it is known where the new one is. */
  stale: Location | undefined;
  /** Owned: how often the value was lost and begun to be made again. */
  generation = 0;
  freed = false;
  /** Owned results of tasks: makes the value again after it was lost. */
  rebuild: (() => boolean) | undefined;
  /** Called when nothing holds the entry any more, beside giving back its value. */
  onFree: (() => void) | undefined;
  private waiters: (() => void)[] | undefined;
  private idText: ObjectId | undefined;

  constructor(
    readonly owner: ProcessId,
    readonly ownerNode: NodeId | undefined,
    readonly owned: boolean,
    readonly sequence: number,
    readonly index: number,
  ) {}

  get id(): ObjectId {
    return (this.idText ??= objectIdOf(this.owner, this.sequence, this.index));
  }

  get ready(): boolean {
    return this.state.kind !== "pending";
  }

  /** Sets the value, once; later ones are ignored (a retried task may end twice). True if it was set. */
  settle(state: ObjectState): boolean {
    if (this.state.kind !== "pending") return false;
    this.state = state;
    const waiters = this.waiters;
    if (waiters !== undefined) {
      this.waiters = undefined;
      for (const waiter of waiters) waiter();
    }
    return true;
  }

  /** Back to pending: the value was lost and is being made again. */
  reset(): void {
    this.state = PENDING;
    this.asked = false;
  }

  /** Calls back once the value is known; at once if it is. */
  whenReady(waiter: () => void): void {
    if (this.state.kind !== "pending") waiter();
    else if (this.waiters === undefined) this.waiters = [waiter];
    else this.waiters.push(waiter);
  }

  forget(waiter: () => void): void {
    const at = this.waiters?.indexOf(waiter) ?? -1;
    if (at >= 0) this.waiters?.splice(at, 1);
  }

  get held(): boolean {
    return this.handles > 0 || this.pins > 0 || (this.borrowers !== undefined && this.borrowers.size > 0);
  }
}
