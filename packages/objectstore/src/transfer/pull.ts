/** One pull: an object from whoever has it, chunk by chunk, until all of it is here or nobody is left. */
import { ObjectLostError, ProtocolError, toError } from "@stingray/protocol";
import type { Budget } from "./budget.js";
import type { ChunkMap } from "./chunks.js";
import type { PullLimits } from "./limits.js";
import { Plan, type Asker } from "./plan.js";
import type { Pool } from "./pool.js";
import type { Origin, PullHost } from "./pull-host.js";
import { PullSource } from "./pull-source.js";
import { chunkSum } from "./sum.js";
import type { Holder, Incoming, Source } from "./types.js";

export interface PullOptions {
  readonly object: string;
  readonly into: Incoming;
  /** What is here of it already is not asked for. Filled as chunks come. */
  readonly chunks: ChunkMap;
  /** Those who are said to have all of it. */
  readonly sources: readonly Source[];
  /** Ends the pull; it rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** Bytes of chunks that came, damaged ones included. */
  readonly onReceived?: ((bytes: number) => void) | undefined;
}

/** How often sources are looked at that may hang. Milliseconds. */
const TICK_MS = 50;
/** Nothing has come for so long: those who sent us elsewhere are asked again. Milliseconds. */
const INSIST_MS = 200;
/** Chunks that are insisted on at a time then, at first and at most: it doubles while nothing else comes. */
const INSIST_FIRST = 2;
const INSIST_MOST = 8;
/** One that sent us elsewhere has had nothing to do for so long: it is asked for a chunk now and then. Milliseconds. */
const IDLE_MS = 500;
/** Sources in all, with those that were named by others. */
const MOST_SOURCES = 24;

export class Pull implements PullHost {
  readonly object: string;
  readonly size: number;
  readonly pool: Pool;
  readonly limits: PullLimits;
  readonly #name: string;
  readonly #budget: Budget;
  readonly #options: PullOptions;
  readonly #sources = new Set<PullSource>();
  readonly #known: Set<string>;
  readonly #plan: Plan;
  readonly #pump = (): void => this.changed();
  #movedAt = performance.now();
  #tick: NodeJS.Timeout | undefined;
  readonly #insisted = new Set<number>();
  #insist = 0;
  #pumping = false;
  #again = false;
  #settle: { resolve(): void; reject(error: Error): void } | undefined;

  constructor(name: string, pool: Pool, budget: Budget, limits: PullLimits, options: PullOptions) {
    this.object = options.object;
    this.size = options.into.size;
    this.pool = pool;
    this.limits = limits;
    this.#name = name;
    this.#known = new Set([name]);
    this.#budget = budget;
    this.#options = options;
    this.#plan = new Plan(options.chunks, this.#sources);
  }

  run(): Promise<void> {
    const { signal, sources } = this.#options;
    return new Promise<void>((resolve, reject) => {
      const abort = (): void => this.#end(toError(signal?.reason));
      this.#settle = {
        resolve: () => {
          signal?.removeEventListener("abort", abort);
          resolve();
        },
        reject: (error) => {
          signal?.removeEventListener("abort", abort);
          reject(error);
        },
      };
      if (signal?.aborted === true) return abort();
      signal?.addEventListener("abort", abort, { once: true });
      if (this.#plan.left === 0) return this.#end(undefined);
      for (const source of sources) this.#add({ source }, source.name);
      this.#tick = setInterval(() => this.#look(), TICK_MS);
      this.changed();
    });
  }

  /** Asks whoever has room for what is missing. Everything that may change the answer ends here. */
  changed(): void {
    this.#again = true;
    if (this.#pumping || this.#settle === undefined) return;
    this.#pumping = true;
    while (this.#again && this.#settle !== undefined) {
      this.#again = false;
      this.#askAll();
    }
    this.#pumping = false;
  }

  takes(tag: string | undefined): boolean {
    const { chunks, into } = this.#options;
    const known = chunks.tag !== undefined;
    if (!chunks.takes(tag)) return false;
    if (!known && tag !== undefined) into.tagged?.(tag);
    return true;
  }

  room(index: number): Uint8Array {
    const { chunks, into } = this.#options;
    try {
      return into.window(chunks.offset(index), chunks.length(index));
    } catch (thrown) {
      this.#end(toError(thrown));
      throw new ProtocolError(`there is no room for ${this.object} any more`, { cause: thrown });
    }
  }

  came(source: Asker, index: number, bytes: Uint8Array, sum: Buffer | undefined): boolean {
    const { chunks, into, onReceived } = this.#options;
    this.#budget.give(bytes.length);
    onReceived?.(bytes.length);
    if (sum !== undefined && !chunkSum(bytes).equals(sum)) {
      this.#insisted.delete(index);
      this.#plan.spoiled(index, source);
      return false;
    }
    if (!this.#insisted.delete(index)) {
      this.#movedAt = performance.now();
      this.#insist = 0;
    }
    this.#plan.done(index);
    try {
      into.arrived(chunks.offset(index), bytes.length);
      chunks.add(index, sum);
    } catch (thrown) {
      this.#end(toError(thrown));
    }
    if (this.#plan.left === 0) this.#end(undefined);
    return true;
  }

  released(index: number): void {
    this.#insisted.delete(index);
    this.#plan.release(index);
    this.#budget.give(this.#options.chunks.length(index));
  }

  holders(holders: readonly Holder[]): void {
    for (const holder of holders) {
      if (this.#settle === undefined || this.#sources.size >= MOST_SOURCES) return;
      if (holder.name !== this.#name) this.#add({ holder }, holder.name);
    }
  }

  #add(origin: Origin, name: string): void {
    if (this.#known.has(name)) return;
    this.#known.add(name);
    const source = new PullSource(origin, this);
    this.#sources.add(source);
    source.start();
  }

  #askAll(): void {
    let lost = true;
    let asked = true;
    // In turns, one chunk each, so that none takes all that the budget has left.
    while (asked) {
      asked = false;
      for (const source of this.#sources) {
        if (source.usable) lost = false;
        if (source.spare <= 0) continue;
        if (this.#ask(source, false)) asked = true;
        else if (this.#insisted.size < this.#insist && this.#ask(source, true)) asked = true;
      }
    }
    if (lost) this.#end(this.#lost());
  }

  #ask(source: PullSource, insist: boolean): boolean {
    const index = this.#plan.claim(source, insist);
    if (index === undefined) return false;
    if (!this.#budget.take(this.#options.chunks.length(index), this.#pump)) {
      this.#plan.release(index);
      return false;
    }
    if (insist) this.#insisted.add(index);
    source.ask(index, insist);
    return true;
  }

  #look(): void {
    const now = performance.now();
    if (now - this.#movedAt > INSIST_MS) {
      this.#insist = Math.min(INSIST_MOST, Math.max(INSIST_FIRST, this.#insist * 2));
      this.changed();
    } else {
      for (const source of this.#sources) if (source.idleFor(now) > IDLE_MS && this.#ask(source, true)) break;
    }
    let idle = false;
    if (this.#plan.missing === 0)
      for (const source of this.#sources) if (source.spare > 0 && source.asked === 0) idle = true;
    for (const source of this.#sources) if (this.#settle !== undefined) source.tick(now, idle);
  }

  #lost(): ObjectLostError {
    const sources = [...this.#sources].map(({ name, reason }) => `${name}: ${reason ?? "?"}`);
    const { object } = this;
    const said = sources.length === 0 ? "nobody is known to have a copy" : sources.join("; ");
    return new ObjectLostError(
      `no copy of ${object} could be read (${said}); it must be made again, or a node that has it must come back`,
      { detail: { object, sources } },
    );
  }

  /** When this returns nothing is written to the object's memory any more. */
  #end(error: Error | undefined): void {
    const settle = this.#settle;
    if (settle === undefined) return;
    this.#settle = undefined;
    clearInterval(this.#tick);
    this.#budget.forget(this.#pump);
    for (const source of this.#sources) source.stop(error === undefined, "the pull is over");
    if (error === undefined) settle.resolve();
    else settle.reject(error);
  }
}
