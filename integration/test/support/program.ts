/** A program that runs, and what it has printed so far. */
import { eventually } from "stingray/testing";
import type { ChildProcess } from "node:child_process";

export interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
}

export class Program {
  stdout = "";
  stderr = "";
  private readonly closed: Promise<Ended>;

  constructor(
    readonly child: ChildProcess,
    private readonly what: string,
  ) {
    child.stdout?.setEncoding("utf8").on("data", (text: string) => (this.stdout += text));
    child.stderr?.setEncoding("utf8").on("data", (text: string) => (this.stderr += text));
    this.closed = new Promise((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (code, signal) => resolve({ code, signal }));
    });
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  /** The complete lines of its standard output. */
  get lines(): string[] {
    return this.stdout.split("\n").slice(0, -1);
  }

  /** Resolves when it has ended and all of its output is here. */
  ended(): Promise<Ended> {
    return this.closed;
  }

  /** Ends with code 0, or the test fails with its output. */
  async succeeds(): Promise<void> {
    const { code, signal } = await this.closed;
    if (code !== 0)
      throw new Error(`${this.what} ended with ${signal ?? code}:\n${this.stderr}${this.stdout}`);
  }

  /** The rest of the first line that begins with `label`, as soon as there is one. */
  async says(label: string, timeoutMs?: number): Promise<string> {
    const { line } = await eventually(
      () => {
        const line = this.lines.find((one) => one.startsWith(label));
        if (line !== undefined) return { line };
        if (this.child.exitCode !== null || this.child.signalCode !== null)
          throw new Error(`it ended:\n${this.stderr}${this.stdout}`);
        throw new Error(`so far:\n${this.stderr}${this.stdout}`);
      },
      { message: `${this.what} says "${label}"`, timeoutMs },
    );
    return line.slice(label.length).trim();
  }

  /** Resolves with the id of the node, for `stingray start`. */
  async up(): Promise<string> {
    await this.says("To end it");
    return /Node (\w+) is up/.exec(this.stdout)?.[1] ?? "";
  }

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  /** As a terminal does it: every process of the group gets it. */
  signalGroup(signal: NodeJS.Signals): void {
    process.kill(-this.pid, signal);
  }
}
