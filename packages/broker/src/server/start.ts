/** A server with a configuration of one's own, for tests and tools; like the embedded one it ends with its parent. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findNatsServer } from "./find.js";
import { ServerProcess } from "./process.js";
import type { ServerPorts } from "./ports.js";

export interface StartServerOptions {
  /** Path of a configuration file. */
  config: string;
  /** Path of the nats-server binary. Default: the one that `findNatsServer` finds. */
  server?: string;
  /** More arguments, such as `["--port", "-1"]`. */
  args?: readonly string[];
  /** Added to the environment; the configuration may refer to it. */
  env?: Record<string, string>;
  cwd?: string;
  log?: (line: string) => void;
  /** In milliseconds. @defaultValue 10000 */
  startTimeoutMs?: number;
}

export interface RunningServer extends AsyncDisposable {
  /** The first URL for clients. */
  readonly url: string;
  readonly ports: ServerPorts;
  readonly pid: number | undefined;
  /** Politely; then its temporary files are removed. */
  stop(): Promise<void>;
  kill(signal: NodeJS.Signals): void;
}

/** @throws ConnectionError where it ends before it is ready, with what it said, or is not ready in time */
export async function startServer(options: StartServerOptions): Promise<RunningServer> {
  const binary = options.server ?? (await findNatsServer()).path;
  const dir = await mkdtemp(join(tmpdir(), "stingray-server-"));
  try {
    const server = await ServerProcess.start({
      server: binary,
      args: ["-c", options.config, ...(options.args ?? [])],
      dir,
      cwd: options.cwd,
      env: { ...process.env, ...options.env },
      startTimeoutMs: options.startTimeoutMs ?? 10_000,
      log: options.log,
    });
    const ports = server.ports as ServerPorts;
    const stop = async (): Promise<void> => {
      await server.down();
      await server.close();
    };
    return {
      url: ports.nats[0] as string,
      ports,
      get pid() {
        return server.pid;
      },
      stop,
      kill: (signal) => void server.signal(signal),
      [Symbol.asyncDispose]: stop,
    };
  } catch (error) {
    await rm(dir, { recursive: true, force: true });
    throw error;
  }
}
