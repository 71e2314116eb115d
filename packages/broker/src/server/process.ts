/** A nats-server process that can't outlive us: start, stop, kill, start again. */
import { readFileSync } from "node:fs";
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { ConnectionError } from "@stingray/protocol";
import { awaitPorts, type PortsWait, type ServerPorts } from "./ports.js";
import { Watchdog } from "./watchdog.js";

/** Lines of output kept for error messages. */
const KEPT_LINES = 40;
/** Lines of it shown in a message. */
const SHOWN_LINES = 8;
/** Time for the last output to arrive after the end of a server that did not start, in milliseconds. */
const OUTPUT_MS = 20;
/** Time for a polite end before the server is killed, in milliseconds. */
const STOP_MS = 3000;

export interface ServerProcessOptions {
  /** Path of the nats-server binary. */
  server: string;
  args: readonly string[];
  /** A directory for this process alone; removed when it ends for good, or when we do. */
  dir: string;
  cwd?: string | undefined;
  env?: NodeJS.ProcessEnv | undefined;
  /** Time until the server must be ready, in milliseconds. */
  startTimeoutMs: number;
  /** Where the server writes its log, if its configuration names a file: shown when it does not start. */
  logFile?: string | undefined;
  /** Told each line that the server writes to its standard error. */
  log?: ((line: string) => void) | undefined;
}

type State =
  | { name: "down" }
  | { name: "starting"; pid: number | undefined; wait: PortsWait }
  | { name: "up"; pid: number; ports: ServerPorts }
  /** The watchdog is gone, and with it the directory. */
  | { name: "gone" };

export class ServerProcess {
  private state: State = { name: "down" };
  private readonly output: string[] = [];
  private readonly watchdog: Watchdog;
  private readonly waiting = new Set<() => void>();

  private constructor(private readonly options: ServerProcessOptions) {
    this.watchdog = Watchdog.start(
      {
        command: options.server,
        args: [...options.args, "--ports_file_dir", this.portsDir],
        dir: options.dir,
        cwd: options.cwd,
        env: options.env ?? process.env,
      },
      {
        started: (pid) => {
          if (this.state.name === "starting") this.state.pid = pid;
        },
        ended: (status) => this.onEnd(status),
        stderr: (line) => {
          this.output.push(line);
          if (this.output.length > KEPT_LINES) this.output.shift();
          options.log?.(line);
        },
        gone: () => this.onGone(),
      },
    );
  }

  /** @throws ConnectionError where the server ends before it is ready, or is not ready in time */
  static async start(options: ServerProcessOptions): Promise<ServerProcess> {
    const self = new ServerProcess(options);
    try {
      await self.up();
    } catch (error) {
      await self.close();
      throw error;
    }
    return self;
  }

  private get portsDir(): string {
    return join(this.options.dir, "ports");
  }

  /** Where the server listens. Only while it runs. */
  get ports(): ServerPorts | undefined {
    return this.state.name === "up" ? this.state.ports : undefined;
  }

  /** Of the server, not of its watchdog; undefined while it is down. */
  get pid(): number | undefined {
    return this.state.name === "up" || this.state.name === "starting" ? this.state.pid : undefined;
  }

  /** The last lines that the server wrote to its standard error. */
  get lastOutput(): readonly string[] {
    return this.output;
  }

  /** Starts the server, which must be down. */
  async up(): Promise<ServerPorts> {
    if (this.state.name !== "down")
      throw new ConnectionError(`nats-server can't be started: it is ${this.state.name}`);
    // The file of a server that was killed is still there, and would be taken for the new one's.
    await rm(this.portsDir, { recursive: true, force: true });
    await mkdir(this.portsDir, { recursive: true, mode: 0o700 });
    const wait = awaitPorts(this.portsDir);
    const starting: State = { name: "starting", pid: undefined, wait };
    this.state = starting;
    const { startTimeoutMs, server } = this.options;
    const timer = setTimeout(
      () => wait.cancel(this.failure(`${server} was not ready within ${startTimeoutMs} ms`)),
      startTimeoutMs,
    );
    this.watchdog.hold(true);
    this.watchdog.startServer();
    try {
      const ports = await wait.ports;
      await this.until(() => starting.pid !== undefined, STOP_MS);
      this.state = { name: "up", pid: starting.pid as number, ports };
      return ports;
    } finally {
      clearTimeout(timer);
      this.watchdog.hold(false);
    }
  }

  /** Sends a signal to the server; false where it is not running. The data stays, for {@link up}. */
  signal(signal: NodeJS.Signals): boolean {
    const { pid } = this;
    return pid !== undefined && kill(pid, signal);
  }

  /** Resolves when the server is down: politely if it can be, killed if it does not end within `STOP_MS`. */
  async down(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    this.watchdog.hold(true);
    try {
      if (!this.isRunning) return;
      this.signal(signal);
      if (await this.until(() => !this.isRunning, STOP_MS)) return;
      this.signal("SIGKILL"); // also ends a stopped process
      await this.until(() => !this.isRunning, STOP_MS);
    } finally {
      this.watchdog.hold(false);
    }
  }

  /** Resolves when the server, however it ends, is down; false where it still runs after `timeoutMs`. */
  async ended(timeoutMs: number): Promise<boolean> {
    return this.until(() => !this.isRunning, timeoutMs);
  }

  /** Ends the server at once, and removes its directory. Idempotent. */
  async close(): Promise<void> {
    if (this.state.name === "gone") return;
    const { pid } = this;
    this.watchdog.hold(true);
    this.watchdog.end();
    if (await this.until(() => this.state.name === "gone", STOP_MS)) return;
    if (pid !== undefined) kill(pid, "SIGKILL");
    await rm(this.options.dir, { recursive: true, force: true });
    this.watchdog.hold(false);
  }

  private get isRunning(): boolean {
    return this.state.name === "up" || this.state.name === "starting";
  }

  private onEnd(status: number): void {
    const before = this.state;
    if (before.name === "gone") return;
    this.state = { name: "down" };
    if (before.name === "starting") {
      const what = `${this.options.server} ended with status ${status} before it was ready`;
      setTimeout(() => before.wait.cancel(this.failure(what)), OUTPUT_MS);
    }
    this.wake();
  }

  private onGone(): void {
    const before = this.state;
    this.state = { name: "gone" };
    if (before.name === "starting")
      before.wait.cancel(this.failure("the process that guards nats-server ended"));
    // Somebody killed the watchdog: its duties are ours.
    if (before.name === "up") kill(before.pid, "SIGKILL");
    void rm(this.options.dir, { recursive: true, force: true }).catch(() => undefined);
    this.wake();
  }

  private failure(what: string): ConnectionError {
    const lines = [...this.output, ...this.logged()].slice(-SHOWN_LINES);
    return new ConnectionError(
      `${what}${lines.length === 0 ? "" : `; it said:\n${lines.join("\n")}`}\n` +
        "Check the binary and the configuration with nats-server -t",
      { detail: { output: lines } },
    );
  }

  private logged(): string[] {
    if (this.options.logFile === undefined) return [];
    try {
      return readFileSync(this.options.logFile, "utf8").trimEnd().split("\n");
    } catch {
      return []; // it did not get that far
    }
  }

  private wake(): void {
    for (const check of this.waiting) check();
  }

  /** Resolves true when `condition` holds after a change of state, false after `timeoutMs`. */
  private until(condition: () => boolean, timeoutMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const finish = (result: boolean): void => {
        clearTimeout(timer);
        this.waiting.delete(check);
        resolve(result);
      };
      const check = (): void => {
        if (condition()) finish(true);
      };
      const timer = setTimeout(() => finish(condition()), timeoutMs);
      this.waiting.add(check);
      check();
    });
  }
}

function kill(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal);
  } catch {
    return false; // it ended meanwhile
  }
}
