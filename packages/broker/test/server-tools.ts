/** What the tests of connections and servers share: real servers, their ends, and waiting with a deadline. */
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The root of the repository, seen from `packages/broker/dist/test`. */
export const ROOT = join(dirname(fileURLToPath(import.meta.url)), "../../../..");

/** What the promise was rejected with; throws where it was not. */
export async function failureOf(promise: Promise<unknown>): Promise<unknown> {
  let value: unknown;
  try {
    value = await promise;
  } catch (error) {
    return error;
  }
  throw new Error(`it should have failed, and gave ${String(value)}`);
}

export function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/** Ports that were free at the same time a moment ago. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const ports = await Promise.all(
    servers.map(async (server) => {
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      const address = server.address();
      return typeof address === "object" && address !== null ? address.port : 0;
    }),
  );
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

/** Things to undo after a test, last first. */
export class Cleanup {
  private readonly steps: (() => Promise<unknown> | void)[] = [];

  add(step: () => Promise<unknown> | void): void {
    this.steps.push(step);
  }
  /** Something that is disposed of after the test. */
  use<T extends AsyncDisposable>(thing: T): T {
    this.add(async () => thing[Symbol.asyncDispose]());
    return thing;
  }
  /** A directory that is removed after the test. */
  async dir(): Promise<string> {
    const path = await mkdtemp(join(tmpdir(), "broker-test-"));
    this.add(() => rm(path, { recursive: true, force: true }));
    return path;
  }
  /** A TCP server on a free port that does what `onConnection` does. */
  async tcp(onConnection: (socket: Socket) => void): Promise<string> {
    const server: Server = createServer(onConnection);
    const sockets = new Set<Socket>();
    server.on("connection", (socket: Socket) => {
      sockets.add(socket);
      socket.on("error", () => undefined);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    this.add(async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    });
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("no port");
    return `127.0.0.1:${address.port}`;
  }
  async run(): Promise<void> {
    for (let step = this.steps.pop(); step !== undefined; step = this.steps.pop()) await step();
  }
}
