/** What is done with one handle: its calls that have not ended, and whether it was disposed of. */
import { InvalidArgumentError, taskIdOf } from "@stingray/protocol";
import { makingRoom } from "@stingray/task/internal";
import type { ActorCallState } from "./call.js";
import type { ActorClient } from "./client.js";
import type { ActorClients } from "./clients.js";

/** A block that does not end because of its handle's calls is worth a line after this long. Milliseconds. */
const WARN_AFTER_MS = 5_000;
/** Calls that such a line names. */
const MOST_NAMED = 5;

export class HandleUse {
  /** Absent while there are none: there may be very many handles. */
  private pending: Set<ActorCallState> | undefined;
  private idle: (() => void)[] | undefined;
  private over = false;

  /** True after `Symbol.asyncDispose`. */
  get disposed(): boolean {
    return this.over;
  }

  /** @throws InvalidArgumentError once it was disposed of */
  check(className: string): void {
    if (this.over) throw disposedOf(className);
  }

  /** A call was made with it. */
  began(call: ActorCallState): void {
    (this.pending ??= new Set()).add(call);
    const { onEnd } = call;
    call.onEnd = () => {
      onEnd?.();
      this.pending?.delete(call);
      if (this.pending?.size !== 0) return;
      const { idle } = this;
      this.pending = this.idle = undefined;
      for (const done of idle ?? []) done();
    };
  }

  /**
   * No more calls are taken; resolves when those that were made have ended. A stream that nobody has begun to read
   * is ended where it is held back for its reader: who waits here could not read it.
   */
  dispose(client: ActorClient): Promise<void> {
    this.over = true;
    for (const call of this.pending ?? []) {
      call.stream?.whenHeldBack(call.options?.backpressure, () => {
        call.cancelReason = disposedOf(client.className, "before anybody read the stream");
        client.calls.cancel(call);
      });
    }
    return this.pending === undefined
      ? Promise.resolve()
      : new Promise((done) => (this.idle ??= []).push(done));
  }

  /** The same wait as one of the task or call that it is in, and with a line to the user where it takes long. */
  async waitFor(
    disposed: Promise<void>,
    { processRuntime: runtime }: ActorClients,
    client: ActorClient,
  ): Promise<void> {
    if (this.pending === undefined) return disposed;
    const warning = setTimeout(
      () => runtime.warn(this.whatIsAwaited(client.className)),
      WARN_AFTER_MS,
    ).unref();
    const tasks = (): ReturnType<typeof taskIdOf>[] =>
      [...(this.pending ?? [])].map(({ sequence }) => taskIdOf(runtime.process, sequence));
    try {
      await runtime.during(
        makingRoom(disposed, { tasks, needs: () => this.pending?.size ?? 0, limited: false }),
      );
    } finally {
      clearTimeout(warning);
    }
  }

  private whatIsAwaited(className: string): string {
    const pending = [...(this.pending ?? [])];
    const size = pending.length;
    const named = pending.slice(0, MOST_NAMED).map(({ method, stream }) => {
      return stream === undefined ? method : `${method} (a stream: read it to its end, or leave it)`;
    });
    if (size > MOST_NAMED) named.push("…");
    return `the end of \`await using\` (or Symbol.asyncDispose) of a handle of actor ${className} still waits for ${size} call${size === 1 ? "" : "s"} made with it: ${named.join(", ")}`;
  }
}

function disposedOf(className: string, when?: string): InvalidArgumentError {
  const what = `this handle of actor ${className} was disposed of${when === undefined ? "" : ` ${when}`}`;
  return new InvalidArgumentError(`${what}; use another one, or keep it for longer`);
}
