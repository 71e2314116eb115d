/** This process's side of its node's object store, as the rest of this package sees it. */
import type { Encoded, StoredBytes } from "@stingray/objectstore";
import type { ObjectId, StoreRoom, StoreSpan } from "@stingray/protocol";
import type { SlabValue } from "./entry.js";

/** What a store needs of the node's agent. */
export interface StoreAgent {
  /** `store.lease`: a file for small values. */
  lease(bytes: number): Promise<StoreRoom>;
  /** Gives files back. */
  giveBack(files: readonly number[]): void;
}

export interface LocalStore {
  /** Once, before anything is put. */
  attach(agent: StoreAgent): void;
  /** Copies a small value into this process's slab; undefined: wait for {@link slabReady} and try again. */
  putSmall(encoded: Encoded): SlabValue | undefined;
  /** Resolves when the slab has room for `size` bytes. @throws ObjectStoreFullError */
  slabReady(size: number): Promise<void>;
  /** Writes an object into room that the agent gave. @throws ObjectStoreFullError */
  write(room: StoreRoom, object: ObjectId, encoded: Encoded): void;
  /** An object of this node's memory, as a private view; undefined where it is not there. @throws ObjectLostError if it is damaged */
  read(object: ObjectId, size: number): StoredBytes | undefined;
  /** An object where the agent said that it is. As {@link read}. */
  readSpan(span: StoreSpan, object: ObjectId, size: number): StoredBytes | undefined;
  close(): void;
}
