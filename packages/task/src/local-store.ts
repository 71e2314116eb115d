/** This process's side of its node's object store: a slab for small values, files for large ones. */
import { Slab, StoreClient } from "@stingray/objectstore";
import type { LocalStore, StoreAgent } from "./objects/local-store.js";

/** A process that puts small values takes so much of its node's store at least. Bytes. */
const SLAB_BYTES = 1024 * 1024;

/** @param dir the node's store directory, made by its agent */
export async function openLocalStore(dir: string): Promise<LocalStore> {
  const client = await StoreClient.open({ dir });
  let slab: Slab | undefined;
  return {
    attach(agent: StoreAgent) {
      slab = Slab.create({
        lease: (bytes) => agent.lease(bytes),
        giveBack: (files) => agent.giveBack(files),
        slabBytes: SLAB_BYTES,
      });
    },
    putSmall(encoded) {
      if (slab?.takes(encoded.size) !== true) return { bytes: encoded.bytes(), free: () => {} }; // nothing can be mapped here
      const block = slab.allocate(encoded.size);
      if (block === undefined) return undefined;
      encoded.writeTo(block.view);
      return { bytes: block.view, free: () => slab?.free(block) };
    },
    slabReady: async (size) => slab?.ready(size),
    write: (room, object, encoded) => client.write(room, object, encoded),
    read: (object, size) => client.read(object, size),
    readSpan: (span, object, size) => client.readSpan(span, object, size),
    close() {
      slab?.close();
      client.close();
    },
  };
}
