/** One upload: an object of this process into the store of a node, chunk by chunk, taken up again where it was cut. */
import { crc32 } from "node:zlib";
import { ConnectionError, ObjectLostError, ProtocolError, TimeoutError, toError } from "@stingray/protocol";
import { CHUNK_BYTES, chunkCount, chunkLength } from "./chunks.js";
import { within } from "./deadline.js";
import type { PullLimits } from "./limits.js";
import type { Link, LinkChannel } from "./link.js";
import type { Pool } from "./pool.js";
import { chunkSum } from "./sum.js";
import { PIECE_BYTES, type Source } from "./types.js";

export interface PushOptions {
  readonly object: string;
  /** The bytes. They must not change before the push has settled. */
  readonly from: Uint8Array;
  readonly to: Source;
  /** Ends the push; it rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** Bytes that are handed to the connection ahead of the kernel. */
const AHEAD_BYTES = 2 << 20;
/** Pieces on their way over the RPC links. */
const RPC_WINDOW = 4;
const TICK_MS = 50;

export class Push {
  readonly #pool: Pool;
  readonly #limits: PullLimits;
  readonly #options: PushOptions;
  #failures = 0;
  #damaged = 0;
  #missing = Number.POSITIVE_INFINITY;

  constructor(pool: Pool, limits: PullLimits, options: PushOptions) {
    this.#pool = pool;
    this.#limits = limits;
    this.#options = options;
  }

  async run(): Promise<void> {
    const { signal, to } = this.#options;
    for (;;) {
      this.#throwIfAborted();
      let link: Link | undefined;
      try {
        const address = await within(
          to.address(),
          this.#limits.connectTimeoutMs,
          `${to.name} to say where its data port is`,
        );
        if (address !== undefined && address.hosts.length > 0) link = await this.#pool.link(address);
      } catch {
        link = undefined; // whatever it is: the RPC links may work
      }
      this.#throwIfAborted();
      if (link === undefined) return this.#overRpc();
      try {
        return await new Upload(
          link,
          this.#options,
          this.#limits,
          (missing) => this.#told(missing),
          () => this.#spoiled(),
        ).run();
      } catch (thrown) {
        if (signal?.aborted === true || thrown instanceof ObjectLostError) throw thrown;
        if (++this.#failures >= this.#limits.failures) throw thrown;
        await new Promise((resolve) => setTimeout(resolve, this.#limits.retryMs * 2 ** (this.#failures - 1)));
      }
    }
  }

  /** So many chunks are not there yet, says the port. */
  #told(missing: number): void {
    if (missing < this.#missing) this.#failures = 0;
    this.#missing = missing;
  }

  #spoiled(): void {
    if (++this.#damaged > this.#limits.damaged)
      throw new ProtocolError(
        `chunks of ${this.#options.object} arrived damaged at ${this.#options.to.name} again and again: its network or memory is at fault`,
      );
  }

  #throwIfAborted(): void {
    if (this.#options.signal?.aborted === true) throw toError(this.#options.signal.reason);
  }

  async #overRpc(): Promise<void> {
    const { object, from, to } = this.#options;
    if (to.write === undefined)
      throw new ConnectionError(`${object} can't be brought to ${to.name}: its data port can't be reached`);
    let next = 0;
    let failed = false;
    const worker = async (): Promise<void> => {
      while (next < from.length && !failed) {
        this.#throwIfAborted();
        const at = next;
        next += PIECE_BYTES;
        const bytes = from.subarray(at, Math.min(from.length, at + PIECE_BYTES));
        await this.#write(to, at, bytes);
      }
    };
    const workers = Array.from({ length: RPC_WINDOW }, () =>
      worker().catch((thrown: unknown) => {
        failed = true;
        throw thrown;
      }),
    );
    await Promise.all(workers);
  }

  async #write(to: Source, at: number, bytes: Uint8Array): Promise<void> {
    for (let failures = 1; ; failures++) {
      try {
        const written = to.write?.(at, bytes, crc32(bytes)) ?? Promise.resolve();
        await within(written, this.#limits.silentMs, `${to.name} to take bytes ${at} … ${at + bytes.length}`);
        return;
      } catch (thrown) {
        const again = thrown instanceof TimeoutError || thrown instanceof ConnectionError;
        if (!again || failures >= this.#limits.failures) throw thrown;
      }
      await new Promise((resolve) => setTimeout(resolve, this.#limits.retryMs * 2 ** (failures - 1)));
      this.#throwIfAborted();
    }
  }
}

/** An upload over one connection. */
class Upload implements LinkChannel {
  readonly #link: Link;
  readonly #options: PushOptions;
  readonly #limits: PullLimits;
  readonly #told: (missing: number) => void;
  readonly #spoiled: () => void;
  #todo: number[] = [];
  #underWay = 0;
  #channel = 0;
  #since = performance.now();
  #finish: ((error: Error | undefined) => void) | undefined;

  constructor(
    link: Link,
    options: PushOptions,
    limits: PullLimits,
    told: (missing: number) => void,
    spoiled: () => void,
  ) {
    this.#link = link;
    this.#options = options;
    this.#limits = limits;
    this.#told = told;
    this.#spoiled = spoiled;
  }

  run(): Promise<void> {
    const { object, from, signal } = this.#options;
    return new Promise((resolve, reject) => {
      const abort = (): void => this.#finish?.(toError(signal?.reason));
      const tick = setInterval(() => this.#look(), TICK_MS);
      signal?.addEventListener("abort", abort, { once: true });
      this.#finish = (error) => {
        this.#finish = undefined;
        clearInterval(tick);
        signal?.removeEventListener("abort", abort);
        // Chunks that wait to be sent must not be read from the caller's memory after this.
        if (this.#underWay > 0) this.#link.destroy(new ConnectionError("an upload was ended in the middle"));
        else this.#link.close(this.#channel, error === undefined);
        if (error === undefined) resolve();
        else reject(error);
      };
      this.#channel = this.#link.upload(object, from.length, this);
    });
  }

  here({ has, size }: { size: number; has: { has(index: number): boolean } | undefined }): void {
    const { from, object, to } = this.#options;
    if (size !== from.length)
      throw new ProtocolError(`${to.name} expects ${size} bytes for ${object}, not ${from.length}`);
    this.#todo = [];
    for (let i = chunkCount(size) - 1; i >= 0; i--) if (has?.has(i) === false) this.#todo.push(i);
    this.#told(this.#todo.length);
    this.#put();
  }
  again(index: number): void {
    this.#spoiled();
    if (index < chunkCount(this.#options.from.length)) this.#todo.push(index);
    this.#put();
  }
  stored(): void {
    this.#finish?.(undefined);
  }
  gone(reason: string): void {
    const { object, to } = this.#options;
    const error = new ObjectLostError(`${object} can't be uploaded to ${to.name}: ${reason}`, {
      detail: { object, sources: [`${to.name}: ${reason}`] },
    });
    this.#finish?.(error);
  }
  cut(error: Error): void {
    this.#finish?.(error);
  }
  room(): Uint8Array {
    throw new ProtocolError(`${this.#options.to.name} sent a chunk of an object that is uploaded to it`);
  }
  data(): void {}
  declined(): void {}
  holders(): void {}

  #put(): void {
    while (
      this.#finish !== undefined &&
      this.#todo.length > 0 &&
      this.#underWay * CHUNK_BYTES < AHEAD_BYTES
    ) {
      const index = this.#todo.pop() as number;
      const at = index * CHUNK_BYTES;
      const bytes = this.#options.from.subarray(at, at + chunkLength(this.#options.from.length, index));
      this.#underWay++;
      this.#link.put(this.#channel, index, bytes, chunkSum(bytes), (sent) => {
        this.#underWay--;
        if (!sent) return; // the connection is over, which is told by itself
        this.#since = performance.now();
        this.#put();
      });
    }
  }

  #look(): void {
    const { silentMs } = this.#limits;
    const moved = Math.max(this.#since, this.#link.heardAt);
    if (performance.now() - moved > silentMs)
      this.#link.destroy(
        new ConnectionError(`${this.#options.to.name} has taken nothing of an upload for ${silentMs} ms`),
      );
  }
}
