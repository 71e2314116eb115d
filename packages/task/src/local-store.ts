/** This process's side of its node's object store: a slab for small values, files for large ones. */
import { Slab, StoreClient } from "@stingray/objectstore";
import type { ProcessId } from "@stingray/protocol";
import type { LocalStore } from "./objects/values.js";

/** @param dir the node's store directory, made by its agent */
export async function openLocalStore(dir: string, process: ProcessId): Promise<LocalStore> {
  const client = await StoreClient.open({ dir });
  const slab = Slab.create({ dir, name: process });
  return {
    putSmall(encoded) {
      const block = slab.allocate(encoded.size);
      if (block === undefined) return { bytes: encoded.bytes(), free: () => {} }; // no mapped memory on this platform
      encoded.writeTo(block.view);
      return { bytes: block.view, free: () => slab.free(block) };
    },
    write: (path, encoded) => client.writeFile(path, encoded),
    read: (object, size) => client.read(object, size),
    close() {
      slab.close();
      client.close();
    },
  };
}
