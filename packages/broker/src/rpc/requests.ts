/** The requests of one channel that wait for their response. */
import { Op, ProtocolError, TimeoutError, decodeError, wireErrorCheck } from "@stingray/protocol";
import type { Check, Method, StingrayError } from "@stingray/protocol";
import type { Deadline, Deadlines } from "./deadlines.js";
import { REQUEST_TIMEOUT_MS } from "./limits.js";

/** What a request may be given. */
export interface RequestOptions {
  /** Milliseconds until the request rejects with a TimeoutError. Default 10,000. */
  timeoutMs?: number;
  /** Ends the wait with the signal's reason. The peer is not told. */
  signal?: AbortSignal;
}

interface Pending {
  resolve(answer: unknown): void;
  reject(error: unknown): void;
  readonly check: Check<unknown>;
  readonly method: string;
  readonly deadline: Deadline;
  readonly unlisten: (() => void) | undefined;
}

const checkError = wireErrorCheck();

export class Requests {
  private readonly pending = new Map<number, Pending>();
  private last = 0;

  constructor(
    private readonly deadlines: Deadlines,
    private readonly peer: string,
  ) {}

  get size(): number {
    return this.pending.size;
  }

  /** Sends `[0, id, method, ask]` with `send` and waits for `[1, id, …]`. */
  ask<Q, A>(
    send: (message: readonly unknown[]) => void,
    method: Method<Q, A>,
    ask: Q,
    options: RequestOptions | undefined,
  ): Promise<A> {
    const signal = options?.signal;
    if (signal?.aborted) return Promise.reject(signal.reason as Error);
    return new Promise<A>((resolve, reject) => {
      const id = ++this.last;
      send([Op.Request, id, method.name, ask]);
      const ms = options?.timeoutMs ?? REQUEST_TIMEOUT_MS;
      const deadline = this.deadlines.set(ms, () => this.fail(id, this.late(method.name, ms)));
      let unlisten: (() => void) | undefined;
      if (signal !== undefined) {
        const abort = (): void => this.fail(id, signal.reason);
        signal.addEventListener("abort", abort, { once: true });
        unlisten = () => signal.removeEventListener("abort", abort);
      }
      this.pending.set(id, {
        resolve: resolve as (answer: unknown) => void,
        reject,
        check: method.answer,
        method: method.name,
        deadline,
        unlisten,
      });
    });
  }

  /**
   * Takes `[1, id, 0 | 1, body]`. One that nobody waits for any more is dropped.
   * @throws ProtocolError where it is malformed; the request, if there is one, has failed with it
   */
  answered(message: readonly unknown[]): void {
    const [, id, status, body] = message;
    if (typeof id !== "number") throw new ProtocolError("malformed message: response[1] must be a request id");
    const pending = this.take(id);
    if (pending === undefined) return;
    try {
      const at = `response to ${pending.method}`;
      if (status === 0) pending.resolve(pending.check(body, at));
      else if (status === 1) pending.reject(decodeError(checkError(body, at)));
      else throw new ProtocolError(`malformed message: ${at} has status ${String(status)}`);
    } catch (error) {
      pending.reject(error);
      throw error;
    }
  }

  /** Rejects all with the reason for which the channel closed. */
  failAll(reason: StingrayError): void {
    for (const id of [...this.pending.keys()]) this.fail(id, reason);
  }

  private fail(id: number, reason: unknown): void {
    this.take(id)?.reject(reason);
  }

  private take(id: number): Pending | undefined {
    const pending = this.pending.get(id);
    if (pending === undefined) return undefined;
    this.pending.delete(id);
    this.deadlines.clear(pending.deadline);
    pending.unlisten?.();
    return pending;
  }

  private late(method: string, ms: number): TimeoutError {
    return new TimeoutError(
      `${method} was not answered by ${this.peer} within ${ms} ms; it may still be carried out. ` +
        `Give it more time with timeoutMs, or look whether that process is busy`,
      { detail: { method, peer: this.peer, timeoutMs: ms } },
    );
  }
}
