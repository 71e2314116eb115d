import { Encoder } from "cbor-x";
import type { Iteration } from "../measure.js";

/** A call as a runtime would send it at least: a number to match the answer, a method, arguments. */
type Call = [sequence: number, method: string, args: unknown[]];
type Reply = [sequence: number, failed: 0 | 1, result: unknown];

const encoder = new Encoder({ useRecords: false });
const OK = new Uint8Array([0x6f, 0x6b]);
const IN_FLIGHT = 1000;

/** Decodes a batch of calls and encodes the batch of answers: all that the other process of a floor does. */
export function answerBatch(bytes: Uint8Array): Uint8Array {
  const calls: Call[] = encoder.decode(bytes);
  return encoder.encode(calls.map(([sequence]): Reply => [sequence, 0, OK]));
}

/**
 * Calls with a promise each. All calls of one turn of the event loop travel in one message; `send` takes the message,
 * and whoever receives the answers hands them to `receive`.
 */
export class BatchedCalls {
  readonly #pending = new Map<number, (result: unknown) => void>();
  readonly #send: (bytes: Uint8Array) => void;
  #batch: Call[] = [];
  #sequence = 0;

  constructor(send: (bytes: Uint8Array) => void) {
    this.#send = send;
  }

  /** One call; resolves to its result. */
  call(): Promise<unknown> {
    const sequence = ++this.#sequence;
    if (this.#batch.length === 0) queueMicrotask(() => this.#flush());
    this.#batch.push([sequence, "smallValue", []]);
    return new Promise((resolve) => this.#pending.set(sequence, resolve));
  }

  /** Takes a batch of answers. */
  receive(bytes: Uint8Array): void {
    const replies: Reply[] = encoder.decode(bytes);
    for (const [sequence, , result] of replies) {
      this.#pending.get(sequence)?.(result);
      this.#pending.delete(sequence);
    }
  }

  #flush(): void {
    const batch = this.#batch;
    this.#batch = [];
    this.#send(encoder.encode(batch));
  }

  /** What a floor repeats: one call at a time, or a thousand in flight. */
  iteration(mode: "sync" | "async"): Iteration {
    return {
      run: async () => {
        if (mode === "sync") await this.call();
        else await Promise.all(Array.from({ length: IN_FLIGHT }, () => this.call()));
      },
      async end() {},
    };
  }
}

/** Operations of one iteration of a floor. */
export function floorOperations(mode: "sync" | "async"): number {
  return mode === "sync" ? 1 : IN_FLIGHT;
}
