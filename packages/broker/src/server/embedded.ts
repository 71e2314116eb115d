/** A broker that belongs to one program: free port, random token, temporary data; it ends with the program. */
import { randomBytes } from "node:crypto";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ConnectionError, InvalidOptionError, toError } from "@stingray/protocol";
import type { BrokerOptions } from "../connect/options.js";
import { findNatsServer } from "./find.js";
import { ServerProcess } from "./process.js";

const HOST = "127.0.0.1";
const DEFAULT_START_TIMEOUT_MS = 10_000;
/** Largest message, in bytes; what the server's makers advise not to exceed. */
const MAX_PAYLOAD = 8 * 1024 * 1024;

export interface EmbeddedBrokerOptions {
  /** Path of the nats-server binary. Default: the one that `findNatsServer` finds, installed if there is none. */
  server?: string;
  /** Where JetStream keeps its data, which then outlives the broker. Default: a temporary directory that goes with it. */
  storeDir?: string;
  /** Default: a free one, chosen by the server. Always on 127.0.0.1. */
  port?: number;
  /** What clients must show. Default: a random one. */
  token?: string;
  /** @defaultValue true */
  jetstream?: boolean;
  /** Told what is done, and what the server writes to its standard error. */
  log?: (line: string) => void;
  /** Time until the server must be ready, in milliseconds. @defaultValue 10000 */
  startTimeoutMs?: number;
}

export class EmbeddedBroker implements AsyncDisposable {
  private constructor(
    /** `nats://127.0.0.1:<port>`; the same after a restart. */
    readonly url: string,
    /** How to connect to it, credentials included. */
    readonly options: BrokerOptions,
    private readonly server: ServerProcess,
    private readonly configuration: Configuration,
    private readonly keepsData: boolean,
  ) {}

  /** @throws ConnectionError where no nats-server is found, the port is taken, or it is not ready in time */
  static async start(options: EmbeddedBrokerOptions = {}): Promise<EmbeddedBroker> {
    const { port, log } = options;
    if (port !== undefined && !(Number.isInteger(port) && port >= 1 && port <= 65_535))
      throw new InvalidOptionError(`port: ${port} is no port; give 1 to 65535, or none for a free one`);
    const binary = options.server ?? (await findNatsServer(log ? { log } : {})).path;
    const token = options.token ?? randomBytes(24).toString("base64url");
    const dir = await mkdtemp(join(tmpdir(), "stingray-broker-")); // made with mode 0700
    try {
      const storeDir = options.storeDir ?? join(dir, "store");
      await mkdir(storeDir, { recursive: true, mode: 0o700 }).catch((error: unknown) => {
        throw new InvalidOptionError(`storeDir: can't make ${storeDir} (${toError(error).message})`, {
          cause: error,
        });
      });
      const configuration: Configuration = {
        path: join(dir, "nats-server.conf"),
        token,
        storeDir: options.jetstream === false ? undefined : storeDir,
        logFile: join(dir, "nats-server.log"),
      };
      await write(configuration, port ?? -1);
      const server = await ServerProcess.start({
        server: binary,
        args: ["-c", configuration.path],
        dir,
        logFile: configuration.logFile,
        startTimeoutMs: options.startTimeoutMs ?? DEFAULT_START_TIMEOUT_MS,
        log,
      });
      const url = server.ports?.nats[0] as string;
      return new EmbeddedBroker(
        url,
        { servers: [url], auth: { token } },
        server,
        configuration,
        options.storeDir !== undefined,
      );
    } catch (error) {
      await rm(dir, { recursive: true, force: true });
      throw port === undefined ? error : await explain(error, port);
    }
  }

  /** Of the server process; undefined while it is down. */
  get pid(): number | undefined {
    return this.server.pid;
  }

  /** Ends the server and removes what is temporary. Idempotent. */
  async stop(): Promise<void> {
    // Data that nobody will read needs no orderly end.
    if (this.keepsData) await this.server.down();
    await this.server.close();
  }

  /** Sends a signal to the server. Resolves when it is down, where the signal ends it; its data stays for `restart`. */
  async kill(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    if (signal === "SIGKILL" || signal === "SIGTERM" || signal === "SIGINT") await this.server.down(signal);
    else this.server.signal(signal);
  }

  /**
   * Stops the server if it runs and starts it again, on the same port and with the same data and token.
   *
   * @throws ConnectionError where the port was taken meanwhile, or the broker was stopped for good
   */
  async restart(): Promise<void> {
    const port = Number(new URL(this.url).port);
    await this.server.down();
    await write(this.configuration, port);
    try {
      await this.server.up();
    } catch (error) {
      throw await explain(error, port);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

interface Configuration {
  path: string;
  token: string;
  storeDir: string | undefined;
  logFile: string;
}

/** In a file for our user only: a command line can be read by everybody. */
async function write(configuration: Configuration, port: number): Promise<void> {
  const { path, token, storeDir, logFile } = configuration;
  const text = [
    `host: ${quote(HOST)}`,
    `port: ${port}`,
    `max_payload: ${MAX_PAYLOAD}`,
    `log_file: ${quote(logFile)}`,
    "log_size_limit: 1048576",
    // A worker whose task computes without a pause answers no pings and reads nothing, and is not dead for that. On
    // the loopback the end of a process is seen without pings.
    'ping_interval: "1h"',
    'write_deadline: "5m"',
    `authorization { token: ${quote(token)} }`,
    ...(storeDir === undefined ? [] : [`jetstream { store_dir: ${quote(storeDir)} }`]),
  ].join("\n");
  try {
    await writeFile(path, `${text}\n`, { mode: 0o600 });
  } catch (error) {
    throw new ConnectionError(
      `can't write the broker's configuration ${path} (${toError(error).message}): was it stopped? Start a new one`,
      { cause: error },
    );
  }
}

function quote(text: string): string {
  return JSON.stringify(text);
}

/** A server that can't listen says so only in its log; whether the port is taken is better asked of the system. */
async function explain(error: unknown, port: number): Promise<unknown> {
  if (!(error instanceof ConnectionError) || !(await isTaken(port))) return error;
  return new ConnectionError(
    `port ${port} on ${HOST} is taken by another process: stop that one or choose another port (stingray start --port); ` +
      `if it is the broker to join, give its address instead (--address)`,
    { cause: error, detail: { port } },
  );
}

function isTaken(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", (error: NodeJS.ErrnoException) => resolve(error.code === "EADDRINUSE"));
    server.listen(port, HOST, () => server.close(() => resolve(false)));
  });
}
