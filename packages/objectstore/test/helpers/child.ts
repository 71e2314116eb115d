/**
 * The other process of a test. It does what it is told, and answers: `open` a node store and stay; `scribble` over
 * an object that it has mapped, and say what it then sees; `write` objects for ever.
 */
import { NodeStore } from "../../src/shm/node-store.js";
import { decode, encode, StoreClient } from "../../src/mod.js";

export type Order =
  | { readonly type: "open"; readonly dir: string }
  | { readonly type: "scribble"; readonly dir: string; readonly object: string }
  | { readonly type: "write"; readonly dir: string };

async function obey(order: Order): Promise<unknown> {
  switch (order.type) {
    case "open": {
      const store = await NodeStore.open({ dir: order.dir, capacity: 1 << 20, sweep: false });
      const client = await StoreClient.open({ dir: order.dir });
      client.writeFile(store.create("obj.1.0", 8, "me"), encode(1));
      return "open";
    }
    case "scribble": {
      const client = await StoreClient.open({ dir: order.dir });
      const stored = client.read(order.object);
      if (stored === undefined) return "missing";
      const value = decode(stored.bytes, { views: stored }) as Uint8Array;
      const before = value[12_345];
      value.fill(9);
      return [before, value[12_345]];
    }
    case "write": {
      const client = await StoreClient.open({ dir: order.dir });
      const encoded = encode(new Uint8Array(8 << 20));
      process.send?.("writing");
      for (let i = 0; ; i++) {
        client.writeFile(`${order.dir}/obj.${i % 4}.0`, encoded);
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
  }
}

process.on("message", (order: Order) => {
  obey(order).then(
    (answer) => process.send?.(answer),
    (thrown: unknown) => process.send?.({ thrown: String(thrown) }),
  );
});
process.on("disconnect", () => process.exit(0));
