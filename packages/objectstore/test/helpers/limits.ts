/**
 * Runs in a process of its own, in the directory given, and prints what it met as JSON: `full` in a file system of
 * 1 MiB, `plain` where files can't be mapped.
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { ObjectStoreFullError } from "@stingray/protocol";
import { NodeStore, Slab, StoreClient, decode, encode, type Encoded } from "../../src/mod.js";

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
const slab = Slab.create({
  lease: (bytes) => store.lease("me", bytes),
  giveBack: (files) => store.giveBack("me", files),
});
const large = encode(new Uint8Array(mode === "full" ? 4 << 20 : 200_000).fill(4));

async function put(object: string, encoded: Encoded): Promise<string> {
  const { size } = encoded;
  const room = await store.create({ object, size, client: "me", role: "primary" });
  client.write(room, object, encoded);
  return store.seal(object, size) ? "sealed" : "refused";
}

async function transfer(object: string): Promise<string> {
  await store.create({ object, size: large.size, client: "me", role: "copy" });
  const arrival = store.arrival(object);
  if (arrival?.mapped === true) arrival.window(0, large.size).set(large.bytes());
  else arrival?.write(0, large.bytes());
  return arrival?.finish() === true ? "sealed" : "refused";
}

const report: Record<string, unknown> = {
  file: await attempt(() => put("obj.1.0", large)),
  slab: (await attempt(() => slab.ready(100))) ?? "none",
  transfer: await attempt(() => transfer("obj.2.0")),
};
if (mode === "full") {
  for (const object of ["obj.1.0", "obj.2.0"]) store.abandon(object, "me");
  report["used"] = await settled();
  report["small"] = await attempt(() => put("obj.3.0", encode("small")));
  report["after"] = decode(client.read("obj.3.0")!.bytes);
} else {
  const value = decode(client.read("obj.1.0")!.bytes, { views: true }) as Uint8Array;
  report["read"] = value.every((byte) => byte === 4);
  const shared = await store.bytes("obj.2.0");
  report["served"] = shared !== undefined && Buffer.compare(shared.bytes, large.bytes()) === 0;
  report["maps"] = client.maps;
  store.free(["obj.1.0", "obj.2.0"]);
  slab.close();
  report["used"] = await settled();
}
slab.close();
console.log(JSON.stringify(report));

/** An arrival that is given up is given back when nothing works for it any more; large files go in the background. */
async function settled(): Promise<number> {
  const deadline = Date.now() + 5000;
  const busy = (): boolean =>
    store.used > 0 || readdirSync(store.dir).some((name) => name.startsWith(".seg"));
  while (busy() && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 5));
  return store.used;
}
