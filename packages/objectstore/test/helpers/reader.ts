import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { Piece } from "./memory-of.js";
import type { ReaderOrder } from "./reader-child.js";

const CHILD = fileURLToPath(new URL("reader-child.js", import.meta.url));

/** A process that reads what it is told to. */
export class Reader {
  private readonly child: ChildProcess = fork(CHILD, { stdio: "inherit" });

  async tell(order: ReaderOrder): Promise<unknown> {
    this.child.send(order);
    const [answer] = (await once(this.child, "message", { signal: AbortSignal.timeout(10_000) })) as [
      unknown,
    ];
    return answer;
  }

  async read(dir: string, object: string): Promise<{ pieces: Piece[]; rows: string[] }> {
    return (await this.tell({ type: "read", dir, object })) as { pieces: Piece[]; rows: string[] };
  }

  async end(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const exit = once(this.child, "exit");
    this.child.kill("SIGKILL");
    await exit;
  }
}
