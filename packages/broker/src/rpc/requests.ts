/** The requests of one channel that wait for their response. */
import { Op, ProtocolError, TimeoutError, decodeError, wireErrorCheck } from "@stingray/protocol";
import type { Method, StingrayError } from "@stingray/protocol";
import type { Deadlines, Waiting, WaitingList } from "./deadlines.js";
import { REQUEST_TIMEOUT_MS } from "./limits.js";

/** What a request may be given. */
export interface RequestOptions {
  /** Milliseconds until the request rejects with a TimeoutError. Default 10,000; Infinity: never. */
  timeoutMs?: number;
  /** Ends the wait with the signal's reason. The peer is not told. */
  signal?: AbortSignal;
}

/** One request that waits. A class and no closures: there can be hundreds of thousands of them in a second. */
class Pending implements Waiting {
  endsAt = 0;
  list: WaitingList | undefined;
  before: Waiting | undefined;
  after: Waiting | undefined;
  unlisten: (() => void) | undefined;

  constructor(
    private readonly requests: Requests,
    readonly id: number,
    readonly method: Method<unknown, unknown>,
    readonly ms: number,
    readonly resolve: (answer: unknown) => void,
    readonly reject: (error: unknown) => void,
  ) {}

  missed(): void {
    this.requests.late(this);
  }
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

  /** Sends `[0, id, method, ask]` and waits for `[1, id, …]`. */
  ask<Q, A>(
    sender: { send(message: readonly unknown[]): void },
    method: Method<Q, A>,
    ask: Q,
    options: RequestOptions | undefined,
  ): Promise<A> {
    const signal = options?.signal;
    if (signal?.aborted) return Promise.reject(signal.reason as Error);
    return new Promise<A>((resolve, reject) => {
      const id = ++this.last;
      sender.send([Op.Request, id, method.name, ask]);
      const ms = options?.timeoutMs ?? REQUEST_TIMEOUT_MS;
      const settle = resolve as (answer: unknown) => void;
      const pending = new Pending(this, id, method, ms, settle, reject);
      this.pending.set(id, pending);
      if (ms !== Number.POSITIVE_INFINITY) this.deadlines.set(ms, pending);
      if (signal !== undefined) this.listen(signal, pending);
    });
  }

  /**
   * Takes `[1, id, 0 | 1, body]`. One that nobody waits for any more is dropped.
   * @throws ProtocolError where it is malformed; the request, if there is one, has failed with it
   */
  answered(message: readonly unknown[]): void {
    const [, id, status, body] = message;
    if (typeof id !== "number")
      throw new ProtocolError("malformed message: response[1] must be a request id");
    const pending = this.take(id);
    if (pending === undefined) return;
    try {
      if (status === 0) pending.resolve(pending.method.answer(body, pending.method.name));
      else if (status === 1) pending.reject(decodeError(checkError(body, pending.method.name)));
      else
        throw new ProtocolError(
          `malformed message: the status of a response is ${String(status)}, not 0 or 1`,
        );
    } catch (error) {
      pending.reject(error);
      throw error;
    }
  }

  /** Rejects all with the reason for which the channel closed. */
  failAll(reason: StingrayError): void {
    for (const id of this.pending.keys()) this.fail(id, reason); // a map may shrink under its iterator
  }

  private fail(id: number, reason: unknown): void {
    this.take(id)?.reject(reason);
  }

  private take(id: number): Pending | undefined {
    const pending = this.pending.get(id);
    if (pending === undefined) return undefined;
    this.pending.delete(id);
    this.deadlines.clear(pending);
    pending.unlisten?.();
    return pending;
  }

  private listen(signal: AbortSignal, pending: Pending): void {
    const abort = (): void => this.fail(pending.id, signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    pending.unlisten = () => signal.removeEventListener("abort", abort);
  }

  /** The deadline of this one passed. */
  late({ id, method: { name }, ms }: Pending): void {
    const { peer } = this;
    this.fail(
      id,
      new TimeoutError(
        `${name} was not answered by ${peer} within ${ms} ms; it may still be carried out. ` +
          `Give it more time with timeoutMs, or look whether that process is busy`,
        { detail: { method: name, peer, timeoutMs: ms } },
      ),
    );
  }
}
