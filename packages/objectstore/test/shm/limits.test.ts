import { execFileSync, spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { encode } from "../../src/mod.js";
import { place } from "../helpers/place.js";

const SCRIPT = fileURLToPath(new URL("../helpers/limits.js", import.meta.url));
/** A file system of its own, seen by one process only, so that nothing of it can stay behind. */
const OWN_MOUNT = ["-r", "-m", "sh", "-c"];
const canMount =
  process.platform === "linux" &&
  spawnSync("unshare", [...OWN_MOUNT, "mount -t tmpfs -o size=1m tmpfs /mnt"]).status === 0;

describe("where memory ends", function () {
  this.timeout(20_000);

  (canMount ? it : it.skip)(
    "a full file system is an ObjectStoreFullError, never a crash, and leaves nothing",
    () => {
      const at = place();
      const command = 'mount -t tmpfs -o size=1m tmpfs "$1" && exec "$2" "$3" full "$1"';
      const args = [...OWN_MOUNT, command, "sh", at.path, process.execPath, SCRIPT];
      const report = JSON.parse(execFileSync("unshare", args, { encoding: "utf8" })) as Record<
        string,
        unknown
      >;
      at.leave();
      const { size } = encode(new Uint8Array(4 << 20));
      expect(report["file"]).to.deep.equal({ code: "OBJECT_STORE_FULL", requested: size });
      expect(report["slab"]).to.deep.equal({ code: "OBJECT_STORE_FULL", requested: 4 << 20 });
      expect(report["transfer"]).to.deep.equal({ code: "OBJECT_STORE_FULL", requested: size });
      expect(report["used"]).to.equal(0);
      expect(report["small"]).to.equal("sealed");
      expect(report["after"]).to.equal("small");
    },
  );

  it("without mappings, files are read and written as they are", () => {
    const at = place();
    const env = { ...process.env, STINGRAY_NO_MMAP: "1" };
    const out = execFileSync(process.execPath, [SCRIPT, "plain", at.path], { encoding: "utf8", env });
    at.leave();
    expect(JSON.parse(out)).to.deep.equal({
      file: "sealed",
      slab: "none",
      transfer: "sealed",
      read: true,
      served: true,
      maps: 0,
      used: 0,
    });
  });
});
