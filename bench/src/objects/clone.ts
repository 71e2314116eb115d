import { Worker } from "node:worker_threads";
import { StingrayError } from "@stingray/protocol";
import type { CloneRequest } from "./clone-thread.js";

/** A worker thread that values go to by structured clone, one at a time. */
export class CloneThread {
  readonly #worker: Worker;
  #settle: { resolve(answer: unknown): void; reject(error: Error): void } | undefined;
  #broken: Error | undefined;

  private constructor(worker: Worker) {
    this.#worker = worker;
    worker.on("message", (answer: unknown) => this.#settle?.resolve(answer));
    worker.on("error", (error) => this.#break(error instanceof Error ? error : new Error(String(error))));
    worker.on("exit", () => this.#break(new StingrayError("the thread of structured clone has ended")));
  }

  /** Starts the thread. */
  static start(): CloneThread {
    return new CloneThread(new Worker(new URL("clone-thread.js", import.meta.url)));
  }

  /** Sends the data; resolves to the stamp that the thread read. */
  async look(data: Uint8Array): Promise<number> {
    const answer = await this.#ask({ data });
    if (typeof answer !== "number") throw new StingrayError("the thread sent no stamp");
    return answer;
  }

  /** Sends the data and resolves to what comes back: the same with another stamp. */
  async back(data: Uint8Array, backWith: number): Promise<Uint8Array> {
    const answer = await this.#ask({ data, backWith });
    if (!(answer instanceof Uint8Array)) throw new StingrayError("the thread sent no data back");
    return answer;
  }

  /** Ends the thread. */
  async stop(): Promise<void> {
    await this.#worker.terminate();
  }

  #ask(request: CloneRequest): Promise<unknown> {
    return new Promise<unknown>((resolve, reject) => {
      if (this.#broken) return reject(this.#broken);
      this.#settle = { resolve, reject };
      this.#worker.postMessage(request, []);
    });
  }

  #break(error: Error): void {
    this.#broken ??= error;
    this.#settle?.reject(this.#broken);
  }
}
