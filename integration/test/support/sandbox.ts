/** A place of its own for the programs of a test, and the proof that nothing of them stays. */
import { spawn, type ChildProcess } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, readlinkSync, rmSync } from "node:fs";
import { createConnection, createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { EmbeddedBroker } from "@stingray/broker/server";
import { MarkedProcesses, eventually } from "stingray/testing";
import { Program } from "./program.js";

const COMMAND = fileURLToPath(new URL("../../../../packages/stingray/bin/stingray.js", import.meta.url));
const FIXTURES = fileURLToPath(new URL("../fixtures/", import.meta.url));
/** What is not the user's business when a test sets the scene. */
const KEPT = ["STINGRAY_NATS_SERVER", "STINGRAY_CACHE"];
const REMAINS_MS = 5_000;
const NODE_ID = /^n[0-9a-z]{12}$/;

export class Sandbox {
  /** Temporary files of everything that runs here lie in it; the runtime directory, too. */
  readonly directory = mkdtempSync(join(tmpdir(), "st-life-"));
  readonly runtimeDir = join(this.directory, "run");
  readonly temporary = join(this.directory, "tmp");
  /** Every process that a test starts, so that none can hide. */
  private readonly marked = new MarkedProcesses();
  private readonly programs: Program[] = [];
  private readonly brokers: EmbeddedBroker[] = [];
  private readonly ports = new Set<number>();
  private readonly nodes = new Set<string>();

  constructor() {
    mkdirSync(this.temporary);
  }

  /** What a process must inherit to belong here. */
  environment(more: Record<string, string> = {}): NodeJS.ProcessEnv {
    const inherited = Object.entries(process.env).filter(
      ([name]) => !name.startsWith("STINGRAY_") || KEPT.includes(name),
    );
    return {
      ...Object.fromEntries(inherited),
      STINGRAY_RUNTIME_DIR: this.runtimeDir,
      TMPDIR: this.temporary,
      ...this.marked.environment,
      ...more,
    };
  }

  /** Lets this process be a driver here, with these settings. @returns undoes it */
  enter(settings: Record<string, string>): () => void {
    const given: Record<string, string> = {
      STINGRAY_RUNTIME_DIR: this.runtimeDir,
      ...this.marked.environment,
      ...settings,
    };
    const before = Object.fromEntries(Object.keys(given).map((name) => [name, process.env[name]]));
    Object.assign(process.env, given);
    return () => {
      for (const [name, value] of Object.entries(before))
        if (value === undefined) delete process.env[name];
        else process.env[name] = value;
    };
  }

  /** A broker that ends with the sandbox. Its data outlives a `kill`. */
  async broker(): Promise<EmbeddedBroker> {
    const broker = await EmbeddedBroker.start({ storeDir: join(this.directory, "jetstream") });
    this.brokers.push(broker);
    return broker;
  }

  /** A port that nobody listens on. */
  async freePort(): Promise<number> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    await new Promise((resolve) => server.close(resolve));
    return port;
  }

  /** The `stingray` command. */
  stingray(args: readonly string[], env: Record<string, string> = {}): Program {
    return this.run([COMMAND, ...args], env);
  }

  /** A compiled program of the fixtures' directory. */
  program(name: string, args: readonly string[] = [], env: Record<string, string> = {}): Program {
    return this.run([join(FIXTURES, name), ...args], env);
  }

  /** A program in TypeScript, run from its sources. */
  source(path: string, args: readonly string[] = []): Program {
    return this.run(["--import", import.meta.resolve("tsx"), path, ...args], { TSX_DISABLE_CACHE: "1" });
  }

  /** Each has a process group of its own, as a shell gives it. */
  private run(args: readonly string[], env: Record<string, string>): Program {
    const child: ChildProcess = spawn(process.execPath, ["--enable-source-maps", ...args], {
      env: this.environment(env),
      stdio: ["ignore", "pipe", "pipe"],
      detached: true,
    });
    const program = new Program(child, args.join(" "));
    this.programs.push(program);
    return program;
  }

  /** The processes that run here, but this one. */
  processes(): { pid: number; command: string }[] {
    return this.marked.running();
  }

  /** The parent's pid; 0 where there is no such process. */
  parentOf(pid: number): number {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
      return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
    } catch {
      return 0;
    }
  }

  /** Remembers the nodes and the ports of brokers that are there now, to ask for them in the end. */
  look(): void {
    for (const dir of [this.runtimeDir, join(this.runtimeDir, "logs")])
      for (const name of list(dir)) {
        const node = name.split(".")[0] ?? "";
        if (NODE_ID.test(node)) this.nodes.add(node);
      }
    for (const { pid, command } of this.processes())
      if (command.includes("--ports_file_dir")) for (const port of listening(pid)) this.ports.add(port);
  }

  /** What is still there, for people. */
  async remains(): Promise<string[]> {
    this.look();
    const uid = process.getuid?.() ?? 0;
    const left = this.processes().map(({ pid, command }) => `process ${pid}: ${command.slice(0, 150)}`);
    left.push(...list(this.runtimeDir).filter((name) => name !== "logs"));
    left.push(...list(this.temporary).filter((name) => name !== "node-compile-cache"));
    left.push(
      ...list(`/dev/shm/stingray-${uid}`)
        .filter((name) => this.nodes.has(name))
        .map((name) => `/dev/shm/stingray-${uid}/${name}`),
    );
    for (const port of this.ports) if (await answers(port)) left.push(`port ${port}`);
    return left;
  }

  /** @throws Error naming what is left after the time that it had */
  async nothingRemains(withinMs = REMAINS_MS): Promise<void> {
    await eventually(
      async () => {
        const left = await this.remains();
        if (left.length > 0) throw new Error(`left behind: ${left.join(", ")}`);
        return true;
      },
      { message: "nothing is left", timeoutMs: withinMs },
    );
  }

  /** Ends what a failed test has left running; removes the directory. Never hides that something remained. */
  async end(): Promise<void> {
    for (const broker of this.brokers) await broker.stop();
    this.marked.killAll();
    await Promise.all(this.programs.map((program) => program.ended()));
    rmSync(this.directory, { recursive: true, force: true });
  }
}

function list(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

/** TCP ports on which a process listens: its sockets, looked up in the kernel's table. */
function listening(pid: number): number[] {
  const inodes = new Set<string>();
  try {
    const maps = readFileSync(`/proc/${pid}/net/tcp`, "latin1").split("\n").slice(1);
    const owned = new Set(socketsOf(pid));
    for (const line of maps) {
      const [, local, , state, , , , , , inode] = line.trim().split(/\s+/);
      if (state === "0A" && inode !== undefined && owned.has(inode)) inodes.add(local?.split(":")[1] ?? "");
    }
  } catch {
    // It ended meanwhile.
  }
  return [...inodes].map((hex) => Number.parseInt(hex, 16));
}

function socketsOf(pid: number): string[] {
  return list(`/proc/${pid}/fd`).flatMap((fd) => {
    try {
      return /socket:\[(\d+)\]/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1] ?? [];
    } catch {
      return [];
    }
  });
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(port, "127.0.0.1");
    const done = (yes: boolean) => (): void => {
      socket.destroy();
      resolve(yes);
    };
    socket.once("connect", done(true)).once("error", done(false));
  });
}
