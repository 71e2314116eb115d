/**
 * Runs in a process of its own, in the directory given, and prints what it met as JSON: `full` in a file system of
 * 1 MiB, `plain` where files can't be mapped.
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { ObjectStoreFullError } from "@stingray/protocol";
import { NodeStore, Slab, StoreClient, decode, encode } from "../../src/mod.js";

const [, , mode, root] = process.argv as [string, string, string, string];

function attempt(run: () => unknown): unknown {
  try {
    return run();
  } catch (thrown) {
    return thrown instanceof ObjectStoreFullError
      ? { code: thrown.code, requested: thrown.detail["requested"] }
      : { unexpected: String(thrown) };
  }
}

await using store = await NodeStore.open({ dir: join(root, "node"), capacity: 1 << 30 });
const client = await StoreClient.open({ dir: store.dir });
const slab = Slab.create({ dir: store.dir, name: "w1" });
const large = encode(new Uint8Array(mode === "full" ? 4 << 20 : 200_000).fill(4));
const report: Record<string, unknown> = {
  file: attempt(() => client.writeFile(store.create("obj.1.0", large.size, "me"), large)) ?? "written",
  slab: attempt(() => slab.allocate(100)) ?? "none",
  transfer:
    attempt(() => {
      store.create("obj.2.0", large.size, "me");
      store.write("obj.2.0", 0, large.bytes());
    }) ?? "written",
};
store.free(["obj.2.0"]);
if (mode === "full") {
  store.free(["obj.1.0"]);
  report["left"] = readdirSync(store.dir);
  const small = encode("small");
  client.writeFile(store.create("obj.3.0", small.size, "me"), small);
  report["after"] = decode(client.read("obj.3.0") as Uint8Array);
} else {
  const value = decode(client.read("obj.1.0") as Uint8Array, { views: true }) as Uint8Array;
  report["read"] = value.every((byte) => byte === 4);
  report["maps"] = client.maps;
}
slab.close();
console.log(JSON.stringify(report));
