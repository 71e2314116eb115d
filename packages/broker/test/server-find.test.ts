import { expect } from "chai";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFile, mkdir, readFile, readdir, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { delimiter, join } from "node:path";
import { ConnectionError } from "@stingray/protocol";
import { findNatsServer } from "../src/server/mod.js";
import { Cleanup, failureOf } from "./server-tools.js";

describe("finding a nats-server", function () {
  this.timeout(20_000);
  const cleanup = new Cleanup();
  afterEach(() => cleanup.run());

  /** A directory for the PATH with the system's tar and the like, but no nats-server, apt-get or go. */
  async function tools(): Promise<string> {
    const dir = await cleanup.dir();
    for (const name of ["tar", "gzip", "sh"]) {
      await symlink(
        execFileSync("/bin/sh", ["-c", `command -v ${name}`])
          .toString()
          .trim(),
        join(dir, name),
      );
    }
    return dir;
  }

  /** A program that says that it is this version. */
  async function fake(path: string, version: string): Promise<string> {
    await writeFile(path, `#!/bin/sh\necho "nats-server: v${version}"\n`, { mode: 0o755 });
    return path;
  }

  /** Serves a release as GitHub would. */
  async function mirror(version: string, change: { checksum?: string } = {}): Promise<string> {
    const dir = await cleanup.dir();
    const os = process.platform;
    const arch = process.arch === "x64" ? "amd64" : process.arch;
    const name = `nats-server-v2.15.2-${os}-${arch}`;
    await mkdir(join(dir, name));
    await fake(join(dir, name, "nats-server"), version);
    execFileSync("tar", ["-czf", join(dir, `${name}.tar.gz`), "-C", dir, name]);
    const bytes = await readFile(join(dir, `${name}.tar.gz`));
    const checksum = change.checksum ?? createHash("sha256").update(bytes).digest("hex");
    const files = new Map<string | undefined, Buffer>([
      [`/v2.15.2/${name}.tar.gz`, bytes],
      ["/v2.15.2/SHA256SUMS", Buffer.from(`${"0".repeat(64)}  other.zip\n${checksum}  ${name}.tar.gz\n`)],
    ]);
    const server = createServer((request, response) => {
      const body = files.get(request.url);
      response.writeHead(body ? 200 : 404, { connection: "close" }).end(body);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    cleanup.add(() => new Promise((resolve) => server.close(resolve)));
    const address = server.address();
    return `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}`;
  }

  it("takes the one that is named, and no other", async () => {
    const path = await fake(join(await cleanup.dir(), "mine"), "2.10.1");
    const env = { STINGRAY_NATS_SERVER: path };
    expect(await findNatsServer({ env })).to.deep.equal({
      path,
      version: "2.10.1",
      from: "STINGRAY_NATS_SERVER",
    });
    for (const wrong of ["/no/such/file", "/bin/true", await fake(path, "2.8.0")]) {
      const error = await failureOf(findNatsServer({ env: { STINGRAY_NATS_SERVER: wrong } }));
      expect(error).to.be.instanceOf(ConnectionError);
      expect(error).to.have.property("message").that.contains(wrong);
    }
  });

  it("takes the first on the PATH that is recent enough", async () => {
    const [old, good] = [await cleanup.dir(), await cleanup.dir()];
    await fake(join(old, "nats-server"), "2.8.4");
    const path = await fake(join(good, "nats-server"), "2.9.10");
    const env = { PATH: [old, good, await tools()].join(delimiter) };
    expect(await findNatsServer({ env })).to.deep.equal({ path, version: "2.9.10", from: "PATH" });
  });

  it("installs the release once, also when several ask at the same time", async () => {
    const cache = await cleanup.dir();
    const env = {
      PATH: await tools(),
      STINGRAY_CACHE: cache,
      STINGRAY_NATS_DOWNLOAD_URL: await mirror("2.15.2"),
    };
    const lines: string[] = [];
    const all = await Promise.all(
      [1, 2, 3].map(() => findNatsServer({ env, log: (line) => void lines.push(line) })),
    );
    const path = join(cache, "nats-server/v2.15.2/nats-server");
    for (const found of all) expect(found).to.deep.equal({ path, version: "2.15.2", from: "release" });
    expect(lines.join("\n")).to.contain("downloading").and.contain("installed");
    expect(await readdir(join(cache, "nats-server"))).to.deep.equal(["v2.15.2"]);
    expect(await findNatsServer({ env })).to.have.property("from", "cache");
  });

  it("takes the newest of the cache, and nothing that does not run", async () => {
    const cache = await cleanup.dir();
    for (const version of ["2.9.10", "2.10.0", "2.99.0"]) {
      await mkdir(join(cache, "nats-server", `v${version}`), { recursive: true });
      await fake(join(cache, "nats-server", `v${version}`, "nats-server"), version);
    }
    await copyFile("/bin/true", join(cache, "nats-server/v2.99.0/nats-server"));
    const env = { PATH: await tools(), STINGRAY_CACHE: cache };
    expect(await findNatsServer({ env, install: false })).to.have.property("version", "2.10.0");
  });

  it("says in one error all that was tried, and leaves nothing half done", async () => {
    const cache = await cleanup.dir();
    const url = await mirror("2.15.2", { checksum: "f".repeat(64) });
    const env = { PATH: await tools(), STINGRAY_CACHE: cache, STINGRAY_NATS_DOWNLOAD_URL: url };
    const error = await failureOf(findNatsServer({ env }));
    expect(error).to.be.instanceOf(ConnectionError);
    expect(error)
      .to.have.property("message")
      .that.contains("checksum")
      .and.contains("apt-get")
      .and.contains("go can't be run")
      .and.contains("To mend it");
    expect(await readdir(join(cache, "nats-server"))).to.deep.equal([]);
  });

  it("does not install where that is not wanted", async () => {
    const env = { PATH: await tools(), STINGRAY_CACHE: await cleanup.dir() };
    expect(await failureOf(findNatsServer({ env, install: false }))).to.be.instanceOf(ConnectionError);
  });
});
