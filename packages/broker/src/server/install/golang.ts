/** A build from source. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { runCommand } from "./command.js";
import { PINNED_VERSION } from "./release.js";
import type { Source } from "./source.js";

const BUILD_MS = 600_000;

export const fromGo: Source = {
  name: "go",
  what: `go install of version ${PINNED_VERSION}`,
  async get({ work, env, log }) {
    await runCommand("go", ["version"], { timeoutMs: 30_000, env });
    const bin = join(work, "bin");
    await mkdir(bin);
    log("nats-server: building it takes about a minute");
    await runCommand("go", ["install", `github.com/nats-io/nats-server/v2@v${PINNED_VERSION}`], {
      cwd: work,
      env: { ...env, GOBIN: bin, CGO_ENABLED: "0" },
      timeoutMs: BUILD_MS,
    });
    return join(bin, process.platform === "win32" ? "nats-server.exe" : "nats-server");
  },
};
