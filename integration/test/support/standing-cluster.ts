/** A cluster that programs join and leave: a broker, and nodes that the command started. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { EmbeddedBroker } from "@stingray/broker/server";
import { init, shutdown, type Cluster, type InitOptions } from "stingray";
import { eventually } from "./actor-cluster.js";

const COMMAND = fileURLToPath(new URL("../../../../packages/stingray/bin/stingray.js", import.meta.url));
const UP_MS = 15_000;
const END_MS = 10_000;

export class StandingCluster {
  private readonly nodes: ChildProcess[] = [];

  private constructor(
    private readonly broker: EmbeddedBroker,
    readonly directory: string,
    private readonly runtimeDirBefore: string | undefined,
  ) {}

  static async start(cpus: number): Promise<StandingCluster> {
    const directory = mkdtempSync(join(tmpdir(), "st-standing-"));
    const before = process.env["STINGRAY_RUNTIME_DIR"];
    process.env["STINGRAY_RUNTIME_DIR"] = join(directory, "run");
    const cluster = new StandingCluster(await EmbeddedBroker.start(), directory, before);
    await cluster.addNode(cpus);
    return cluster;
  }

  private async addNode(cpus: number): Promise<void> {
    const args = ["start", "--cpus", String(cpus), "--gpus", "0", "--object-store-memory", "64MiB"];
    const child = spawn(process.execPath, [COMMAND, ...args], {
      env: { ...process.env, ...this.access },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.nodes.push(child);
    let output = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => (output += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (output += text));
    await eventually(
      () => {
        if (child.exitCode !== null) throw new Error(`it ended: ${output}`);
        return output.includes("is up");
      },
      "the node is up",
      UP_MS,
    );
  }

  private get access(): { STINGRAY_ADDRESS: string; STINGRAY_TOKEN: string } {
    const { servers, auth } = this.broker.options;
    const token = auth !== undefined && "token" in auth ? auth.token : "";
    return { STINGRAY_ADDRESS: servers.join(","), STINGRAY_TOKEN: token };
  }

  /** This process becomes a driver with a job of its own. Leave it with `shutdown()`. */
  join(options: InitOptions = {}): Promise<Cluster> {
    const { STINGRAY_ADDRESS: address, STINGRAY_TOKEN: token } = this.access;
    return init({ address: address.split(","), auth: { token }, logToDriver: false, ...options });
  }

  async end(): Promise<void> {
    await shutdown();
    for (const node of this.nodes) {
      if (node.exitCode !== null || node.signalCode !== null) continue;
      const gone = once(node, "exit");
      node.kill("SIGTERM");
      const timer = setTimeout(() => node.kill("SIGKILL"), END_MS);
      await gone;
      clearTimeout(timer);
    }
    await this.broker.stop();
    if (this.runtimeDirBefore === undefined) delete process.env["STINGRAY_RUNTIME_DIR"];
    else process.env["STINGRAY_RUNTIME_DIR"] = this.runtimeDirBefore;
    rmSync(this.directory, { recursive: true, force: true });
  }
}
