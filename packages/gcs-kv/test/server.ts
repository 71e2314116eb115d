/** A broker for the tests: its own process, port and directory, which can be killed and started again. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "@nats-io/transport-node";
import type { NatsConnection } from "@nats-io/nats-core";

const BINARY = process.env["STINGRAY_NATS_SERVER"] ?? "nats-server";

export class TestBroker {
  #child: ChildProcess | undefined;
  readonly #connections: NatsConnection[] = [];

  private constructor(
    readonly port: number,
    readonly directory: string,
    readonly args: readonly string[],
  ) {}

  static async start(args?: readonly string[]): Promise<TestBroker> {
    const directory = await mkdtemp(join(tmpdir(), "stingray-gcs-"));
    const broker = new TestBroker(await freePort(), directory, args ?? ["-js", "-sd", directory]);
    await broker.up();
    return broker;
  }

  /** Starts the process; resolves when it takes connections. */
  async up(): Promise<void> {
    const args = ["-a", "127.0.0.1", "-p", String(this.port), ...this.args];
    const child = spawn(BINARY, args, { stdio: ["ignore", "ignore", "pipe"] });
    this.#child = child;
    let log = "";
    await new Promise<void>((resolve, reject) => {
      child.once("error", reject);
      child.once("exit", () => reject(new Error(`nats-server ended:\n${log}`)));
      child.stderr?.on("data", (chunk: Buffer) => {
        log += chunk.toString();
        if (log.includes("Server is ready")) resolve();
      });
    });
    child.removeAllListeners("exit");
  }

  /** Ends the process as a crash would. */
  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined) return;
    child.kill("SIGKILL");
    await once(child, "exit");
  }

  async connect(): Promise<NatsConnection> {
    const connection = await connect({
      servers: `127.0.0.1:${this.port}`,
      maxReconnectAttempts: -1,
      reconnectTimeWait: 20,
      reconnectJitter: 10,
    });
    this.#connections.push(connection);
    return connection;
  }

  async stop(): Promise<void> {
    await Promise.all(this.#connections.map((connection) => connection.close()));
    await this.kill();
    await rm(this.directory, { recursive: true, force: true });
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  return typeof address === "object" && address !== null ? address.port : 0;
}
