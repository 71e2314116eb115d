/** The processes that hold the schedulers, from outside: started together, asked with deadlines, ended together. */
import { fork, type ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { BrokerOptions } from "@stingray/broker/connect";
import { StingrayError, TimeoutError } from "@stingray/protocol";
import type { Answer, Ask, HostMessage, HostMethod, HostRequest, Pulse } from "./ipc.js";

const START_MS = 120_000;
const STOP_MS = 10_000;
const MAIN = fileURLToPath(new URL("host.js", import.meta.url));

interface Waiting {
  resolve(answer: unknown): void;
  reject(error: Error): void;
}

/** One process. Whatever it is asked fails when it ends. */
class Host {
  pulse: Pulse | undefined;
  private readonly waiting = new Map<number, Waiting>();
  private asked = 0;
  private ended: StingrayError | undefined;
  private readonly exit: Promise<void>;

  constructor(
    private readonly child: ChildProcess,
    private readonly onPulse: () => void,
  ) {
    child.on("message", (message: HostMessage) => this.receive(message));
    this.exit = new Promise((resolve) => {
      const over = (how: string): void => {
        this.ended ??= new StingrayError(`a process with schedulers ended: ${how}`);
        for (const waiting of this.waiting.values()) waiting.reject(this.ended);
        this.waiting.clear();
        resolve();
      };
      child.once("error", (error) => over(error.message));
      child.once("exit", (code, signal) => over(signal ?? `exit code ${code}`));
    });
  }

  get pid(): number {
    if (this.child.pid === undefined)
      throw new StingrayError("a process with schedulers could not be started");
    return this.child.pid;
  }

  ask<M extends HostMethod>(method: M, ask: Ask<M>, deadlineMs: number): Promise<Answer<M>> {
    if (this.ended !== undefined) return Promise.reject(this.ended);
    const id = ++this.asked;
    return new Promise<unknown>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.waiting.delete(id);
        reject(new TimeoutError(`a process with schedulers did not ${method} within ${deadlineMs} ms`));
      }, deadlineMs);
      const settle =
        <T>(then: (value: T) => void) =>
        (value: T): void => {
          clearTimeout(timer);
          then(value);
        };
      this.waiting.set(id, { resolve: settle(resolve), reject: settle(reject) });
      this.child.send({ id, method, ask } satisfies HostRequest);
    }) as Promise<Answer<M>>;
  }

  async stop(): Promise<void> {
    if (this.ended === undefined) {
      await this.ask("stop", null, STOP_MS).catch(() => undefined);
      if (this.child.connected) this.child.disconnect();
      const timer = setTimeout(() => this.child.kill("SIGKILL"), STOP_MS);
      await this.exit;
      clearTimeout(timer);
    }
  }

  private receive(message: HostMessage): void {
    if (message.kind === "pulse") {
      this.pulse = message.pulse;
      return this.onPulse();
    }
    const waiting = this.waiting.get(message.id);
    this.waiting.delete(message.id);
    if (message.kind === "answer") waiting?.resolve(message.answer);
    else waiting?.reject(new StingrayError(message.message));
  }
}

export class Fleet implements AsyncDisposable {
  /** Told once a second while a run goes on, with what every process said last. */
  onPulse: ((pulses: readonly Pulse[]) => void) | undefined;
  private readonly hosts: readonly Host[];

  private constructor(processes: number) {
    this.hosts = Array.from({ length: processes }, (_, part) => {
      const child = fork(MAIN, [], {
        stdio: ["ignore", "ignore", "inherit", "ipc"],
        serialization: "advanced",
      });
      return new Host(child, () => {
        // Once per round of all: the first speaks for the others.
        if (part === 0) this.onPulse?.(this.hosts.flatMap((host) => host.pulse ?? []));
      });
    });
  }

  /** Starts the schedulers of so many nodes. @throws StingrayError where that fails; then nothing is left */
  static async start(o: { broker: BrokerOptions; nodes: number; processes: number }): Promise<Fleet> {
    const { processes } = o;
    const fleet = new Fleet(processes);
    try {
      await fleet.all("start", (part) => ({ ...o, part, cluster: "scale" }), START_MS);
      return fleet;
    } catch (error) {
      await fleet[Symbol.asyncDispose]();
      throw error;
    }
  }

  get pids(): number[] {
    return this.hosts.map((host) => host.pid);
  }

  /** Asks every process. Rejects with the first failure. */
  all<M extends HostMethod>(
    method: M,
    ask: (part: number) => Ask<M>,
    deadlineMs: number,
  ): Promise<Answer<M>[]> {
    return Promise.all(this.hosts.map((host, part) => host.ask(method, ask(part), deadlineMs)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.hosts.map((host) => host.stop()));
  }
}
