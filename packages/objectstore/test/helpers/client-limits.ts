/**
 * Runs in a process of its own, in the directory given, and prints what it met as JSON: `full` in a file system of
 * 1 MiB, `plain` where files can't be mapped.
 */
import { ObjectStoreFullError } from "@stingray/protocol";
import { Slab, StoreClient, decode, encode } from "../../src/mod.js";
import { Rooms } from "./rooms.js";

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

const rooms = new Rooms(root);
const client = await StoreClient.open({ dir: rooms.dir });
const slab = Slab.create({
  lease: (bytes) => rooms.lease(bytes),
  giveBack: (files) => rooms.giveBack(files),
});
const large = encode(new Uint8Array(mode === "full" ? 4 << 20 : 200_000).fill(4));
const small = encode(new Uint8Array(70_000).fill(5).buffer);
const report: Record<string, unknown> = {};
report["small"] =
  (await attempt(() => client.write(rooms.create("obj.2.0", small.size), "obj.2.0", small))) ?? "written";
report["large"] =
  (await attempt(() => client.write(rooms.create("obj.1.0", large.size), "obj.1.0", large))) ?? "written";
report["slab"] = (await attempt(() => slab.ready(100))) ?? "resolved";
report["block"] = slab.allocate(100) ?? "none";
const read = (object: string): unknown => {
  const stored = client.read(object);
  return stored && decode(stored.bytes, { views: stored });
};
report["smallRead"] = new Uint8Array(read("obj.2.0") as ArrayBuffer).every((byte) => byte === 5);
report["largeRead"] = (read("obj.1.0") as Uint8Array | undefined)?.every((byte) => byte === 4) ?? "missing";
const again = rooms.reuse(mode === "full" ? "obj.2.0" : "obj.1.0", "obj.3.0");
report["reused"] =
  again === undefined ? "seen" : ((await attempt(() => client.write(again, "obj.3.0", small))) ?? "written");
report["maps"] = client.maps;
report["leased"] = rooms.leased.size;
client.close();
slab.close();
rooms.close();
process.stdout.write(JSON.stringify(report));
