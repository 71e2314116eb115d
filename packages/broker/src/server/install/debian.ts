/** The package of Debian and its relatives, unpacked into our directory; the system stays as it is. */
import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { ConnectionError } from "@stingray/protocol";
import { runCommand } from "./command.js";
import type { Source } from "./source.js";

const DOWNLOAD_MS = 120_000;

export const fromDebian: Source = {
  name: "debian",
  what: "unpacking the distribution's package",
  async get({ work, env, log }) {
    const run = (command: string, args: readonly string[]): Promise<unknown> =>
      runCommand(command, args, { cwd: work, env, timeoutMs: DOWNLOAD_MS });
    // Fails early where this is no Debian.
    await run("apt-get", ["--version"]);
    await run("dpkg-deb", ["--version"]);
    try {
      await run("apt-get", ["download", "nats-server"]);
    } catch {
      log("nats-server: fetching the package lists (for this purpose only)");
      const own = await privateState(work);
      await run("apt-get", [...own, "update"]);
      await run("apt-get", [...own, "download", "nats-server"]);
    }
    const file = (await readdir(work)).find((name) => name.endsWith(".deb"));
    if (file === undefined) throw new ConnectionError("apt-get download brought no package");
    const root = join(work, "root");
    await run("dpkg-deb", ["-x", file, root]);
    return join(root, "usr/sbin/nats-server");
  },
};

/** Lists and caches of our own, so that neither root is needed nor the system's state touched. */
async function privateState(work: string): Promise<string[]> {
  const lists = join(work, "lists");
  const cache = join(work, "cache");
  await mkdir(join(lists, "partial"), { recursive: true });
  await mkdir(join(cache, "archives/partial"), { recursive: true });
  return ["-o", `Dir::State::Lists=${lists}`, "-o", `Dir::Cache=${cache}`, "-o", "Debug::NoLocking=1"];
}
