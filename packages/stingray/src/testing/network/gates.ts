/** Gates before the broker: each is a port of its own through which one member of the cluster reaches it. */
import { Worker } from "node:worker_threads";
import { ConnectionError } from "@stingray/protocol";
import { OPEN, type GateAnswer, type GateAsk, type GateRules } from "./gate-rules.js";
import { Line } from "./line.js";

type Ask = GateAsk extends infer A ? (A extends GateAsk ? Omit<A, "number"> : never) : never;

export class Gates {
  private readonly waiting = new Map<
    number,
    { resolve: (answer: GateAnswer) => void; reject: (error: Error) => void }
  >();
  private readonly lines = new Set<Line>();
  private asked = 0;
  private opened = 0;

  private constructor(
    private readonly thread: Worker,
    private readonly target: URL,
  ) {
    thread.on("message", (answer: GateAnswer) => this.settle(answer));
    thread.on("error", (error) => this.fail(error));
    thread.on("exit", () => this.fail(new ConnectionError("the gates of the test cluster are closed")));
    thread.unref();
  }

  /** @param server URL of the broker, without credentials */
  static start(server: string): Gates {
    // Flags of the test runner (loaders, inspectors) are not for it.
    const thread = new Worker(new URL("./gate-thread.js", import.meta.url), { execArgv: [] });
    return new Gates(thread, new URL(server));
  }

  /** One more, open. `name` is for messages. */
  async open(name: string): Promise<Line> {
    const gate = ++this.opened;
    const { hostname: host, port } = this.target;
    const answer = await this.ask({ kind: "open", gate, host, port: Number(port) });
    const line = new Line(name, `nats://127.0.0.1:${answer.port}`, (rules) => this.set(gate, rules));
    this.lines.add(line);
    return line;
  }

  /** Opens all of them again. */
  async heal(): Promise<void> {
    await Promise.all([...this.lines].map((line) => line.heal()));
  }

  async close(): Promise<void> {
    await this.thread.terminate();
  }

  private async set(gate: number, rules: GateRules = OPEN): Promise<void> {
    await this.ask({ kind: "rules", gate, rules });
  }

  private ask(ask: Ask): Promise<GateAnswer> {
    const number = ++this.asked;
    return new Promise((resolve, reject) => {
      this.waiting.set(number, { resolve, reject });
      // Somebody waits for the answer; the thread alone keeps no test runner alive.
      this.thread.ref();
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
      this.thread.postMessage({ ...ask, number });
    });
  }

  private settle(answer: GateAnswer): void {
    const waiting = this.waiting.get(answer.number);
    this.waiting.delete(answer.number);
    if (this.waiting.size === 0) this.thread.unref();
    if (answer.error === undefined) waiting?.resolve(answer);
    else waiting?.reject(new ConnectionError(`a gate to the broker can't be opened: ${answer.error}`));
  }

  private fail(error: Error): void {
    for (const { reject } of this.waiting.values()) reject(error);
    this.waiting.clear();
  }
}
