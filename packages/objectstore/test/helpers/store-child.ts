/** A second process beside a node's store, or with one of its own: reads and keeps what it has read, or writes for ever. */
import type { StoreRoom } from "@stingray/protocol";
import { NodeStore, StoreClient, encode, type StoredBytes } from "../../src/mod.js";

export type StoreOrder =
  | { readonly type: "open"; readonly dir: string; readonly disk: string }
  | { readonly type: "view"; readonly dir: string; readonly object: string }
  | { readonly type: "check" }
  | {
      readonly type: "write";
      readonly dir: string;
      readonly room: StoreRoom;
      readonly object: string;
      readonly bytes: number;
    }
  | { readonly type: "scribble"; readonly room: StoreRoom };

let kept: StoredBytes | undefined;

async function obey(order: StoreOrder): Promise<unknown> {
  switch (order.type) {
    case "open": {
      const spill = { dir: order.disk };
      const store = await NodeStore.open({ dir: order.dir, capacity: 1 << 20, spill, sweep: false });
      for (const [i, size] of [100_000, 2_000_000].entries()) {
        await store.create({ object: `obj.${i}.0`, size, client: "me", role: "primary" });
      }
      return "open";
    }
    case "view": {
      const client = await StoreClient.open({ dir: order.dir });
      kept = client.read(order.object);
      return kept === undefined ? "missing" : kept.bytes.length;
    }
    case "check":
      return kept?.bytes.at(-1);
    case "write": {
      const client = await StoreClient.open({ dir: order.dir });
      client.write(order.room, order.object, encode(new Uint8Array(order.bytes).fill(3)));
      return "written";
    }
    case "scribble": {
      const { openSync, writeSync } = await import("node:fs");
      const fd = openSync(order.room.path, "r+");
      const junk = new Uint8Array(65_536).fill(5);
      process.send?.("writing");
      for (let at = 4096; ; at = (at + junk.length) % (order.room.length - junk.length)) {
        writeSync(fd, junk, 0, junk.length, at);
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
  }
}

process.on("message", (order: StoreOrder) => {
  obey(order).then(
    (answer) => process.send?.({ answer }),
    (thrown: unknown) => process.send?.({ thrown: String(thrown) }),
  );
});
process.on("disconnect", () => process.exit(0));
