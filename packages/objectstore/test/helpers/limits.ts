/**
 * Runs in a process of its own, in the directory given, and prints what it met as JSON: `full` in a file system of
 * 1 MiB, `plain` where files can't be mapped.
 */
import { readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ObjectStoreFullError } from "@stingray/protocol";
import { NodeStore } from "../../src/shm/node-store.js";
import { Slab, StoreClient, decode, encode } from "../../src/mod.js";

const [, , mode, root] = process.argv as [string, string, string, string];

async function attempt(run: () => unknown): Promise<unknown> {
  try {
    return await run();
  } catch (thrown) {
    return thrown instanceof ObjectStoreFullError
      ? { code: thrown.code, requested: thrown.detail["requested"] }
      : { unexpected: String(thrown) };
  }
}

await using store = await NodeStore.open({ dir: join(root, "node"), capacity: 1 << 30 });
const client = await StoreClient.open({ dir: store.dir });
const leased = join(store.dir, ".seg.1");
const slab = Slab.create({
  async lease(bytes) {
    writeFileSync(leased, "");
    return { path: leased, file: 1, length: bytes, warm: false };
  },
  giveBack: () => rmSync(leased),
});
const large = encode(new Uint8Array(mode === "full" ? 4 << 20 : 200_000).fill(4));
const report: Record<string, unknown> = {
  file:
    (await attempt(() => client.writeFile(store.create("obj.1.0", large.size, "me"), large))) ?? "written",
  slab: (await attempt(() => slab.ready(100))) ?? "none",
  transfer:
    (await attempt(() => {
      store.create("obj.2.0", large.size, "me");
      store.write("obj.2.0", 0, large.bytes());
    })) ?? "written",
};
store.free(["obj.2.0"]);
if (mode === "full") {
  store.free(["obj.1.0"]);
  report["left"] = readdirSync(store.dir);
  const small = encode("small");
  client.writeFile(store.create("obj.3.0", small.size, "me"), small);
  report["after"] = decode(client.readFile("obj.3.0", small.size)!.bytes);
} else {
  const value = decode(client.readFile("obj.1.0", large.size)!.bytes, { views: true }) as Uint8Array;
  report["read"] = value.every((byte) => byte === 4);
  report["maps"] = client.maps;
}
slab.close();
console.log(JSON.stringify(report));
