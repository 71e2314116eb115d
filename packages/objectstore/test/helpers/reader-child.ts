/**
 * Another process that reads objects: `read` one and say where it lies, `scribble` over what was read, say its `sum`,
 * `drop` it.
 */
import { Table } from "apache-arrow";
import { StoreClient, decode } from "../../src/mod.js";
import { gc } from "./gc.js";
import { memoryOf } from "./memory-of.js";

export type ReaderOrder =
  | { readonly type: "read"; readonly dir: string; readonly object: string }
  | { readonly type: "scribble" | "sum" | "drop" };

let client: StoreClient | undefined;
let value: unknown;

const asBytes = (): Uint8Array =>
  value instanceof ArrayBuffer ? new Uint8Array(value) : (value as Uint8Array);

async function obey(order: ReaderOrder): Promise<unknown> {
  switch (order.type) {
    case "read": {
      if (client?.dir !== order.dir) client = await StoreClient.open({ dir: order.dir });
      const stored = client.read(order.object);
      if (stored === undefined) return "missing";
      value = decode(stored.bytes, { views: stored });
      const rows = value instanceof Table ? value.toArray().map((row) => JSON.stringify(row)) : [];
      return { pieces: memoryOf(value), rows };
    }
    case "scribble":
      asBytes().fill(9);
      return asBytes()[12_345];
    case "sum":
      return asBytes().reduce((sum, byte) => sum + byte, 0);
    case "drop":
      value = undefined;
      for (let i = 0; i < 200 && client !== undefined && client.maps > 0; i++) {
        gc();
        await new Promise((resolve) => setImmediate(resolve));
      }
      return client?.maps ?? 0;
  }
}

process.on("message", (order: ReaderOrder) => {
  obey(order).then(
    (answer) => process.send?.(answer),
    (thrown: unknown) => process.send?.({ thrown: String(thrown) }),
  );
});
process.on("disconnect", () => process.exit(0));
