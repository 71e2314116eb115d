/**
 * The objects of a node that is drained: other nodes keep them, and their owners learn where. What belongs to a process
 * of this node is not moved, since it ends with its owner.
 */
import { TimeoutError, toError, type NodeView } from "@stingray/protocol";
import type { ReplicaHooks } from "../store/replicas.js";

export interface StoredPrimary {
  readonly object: string;
  readonly size: number;
}

export interface LeavingObjectHooks extends ReplicaHooks {
  /** Complete objects of this node's store that are no copies of others'. */
  primaries(): Iterable<StoredPrimary>;
  /** The nodes that are known to have the object, this one perhaps among them. */
  holders(object: string): Promise<readonly string[]>;
  /** Whether the object's owner is a process of this node. */
  ownedHere(object: string): boolean;
  /** `object.moved` at the owner. Rejects where it is gone, and with a TimeoutError where it did not answer yet. */
  tellOwner(
    object: StoredPrimary,
    to: [node: string, agent: string],
  ): Promise<"moved" | "pending" | "unknown">;
  /** Whether there is another node that takes on work. */
  hasOthers(): boolean;
  now(): number;
}

export interface Amount {
  count: number;
  bytes: number;
}

/** Objects on their way at once, at most. */
const AT_ONCE = 64;
/** Bytes on their way at once, at most; but some objects always may, however large. */
const BYTES_AT_ONCE = 256 * 1024 * 1024;
const ALWAYS = 4;
/** It takes so many times as long until the store is gone through again as going through it took. */
const REST = 10;
/** What is known of the other nodes is asked for anew after this. Milliseconds. */
const NODES_MS = 200;
/** A failed try is followed by another after this. Milliseconds. */
const AGAIN_MS = 500;
/** An owner that does not know the object for so long has freed it, or never had it. Milliseconds. */
const UNKNOWN_MS = 2_000;
const MOST_NOTES = 10;

interface Try {
  /** Milliseconds of the clock. */
  notBefore: number;
  firstUnknown: number | undefined;
  keeper: [node: string, agent: string] | undefined;
}

export class LeavingObjects {
  readonly moved: Amount = { count: 0, bytes: 0 };
  readonly lost: Amount = { count: 0, bytes: 0 };
  readonly notes: string[] = [];
  /** Moved, or nobody's. */
  private readonly settled = new Set<string>();
  private readonly underWay: Amount & { objects: Set<string> } = { count: 0, bytes: 0, objects: new Set() };
  private readonly tries = new Map<string, Try>();
  /** What may be sent on its way, as found when the store was gone through last. */
  private queue: StoredPrimary[] = [];
  /** What had not moved then. */
  private rest: Amount = { count: 0, bytes: 0 };
  private walkNext = -Infinity;
  private until = -Infinity;
  private known: { at: number; nodes: Promise<readonly NodeView[]> } | undefined;
  private stopped = false;

  constructor(private readonly hooks: LeavingObjectHooks) {}

  /** Looks what is here, and has it move: the next begin when others have ended. @param until when no answer is waited for any more */
  step(until: number): void {
    if (this.stopped) return;
    this.until = until;
    const began = this.hooks.now();
    const atRest = this.queue.length === 0 && this.underWay.count === 0;
    // Only what is found anew says that there is nothing left.
    if (this.rest.count === 0 || atRest || began >= this.walkNext) {
      this.walk();
      const now = this.hooks.now();
      this.walkNext = now + REST * (now - began);
    }
    this.fill();
  }

  left(): Amount {
    return { ...this.rest };
  }

  private walk(): void {
    const now = this.hooks.now();
    const rest = { count: 0, bytes: 0 };
    this.queue = [];
    for (const one of this.movable()) {
      add(rest, one.size);
      if (!this.underWay.objects.has(one.object) && (this.tries.get(one.object)?.notBefore ?? 0) <= now)
        this.queue.push(one);
    }
    this.rest = rest;
    this.queue.reverse(); // taken from the end
  }

  /** Sends on their way as many as may be. */
  private fill(): void {
    if (this.stopped || !this.hooks.hasOthers()) return;
    const { underWay, queue } = this;
    for (let one = queue.at(-1); one !== undefined; one = queue.at(-1)) {
      const much = underWay.count >= ALWAYS && underWay.bytes + one.size > BYTES_AT_ONCE;
      if (much || underWay.count >= AT_ONCE) return;
      queue.pop();
      this.begin(one);
    }
  }

  private begin(one: StoredPrimary): void {
    const { underWay } = this;
    underWay.objects.add(one.object);
    add(underWay, one.size);
    void this.move(one).finally(() => {
      underWay.objects.delete(one.object);
      take(underWay, one.size);
      this.fill();
    });
  }

  /** Nothing more is moved: what is left is lost. */
  giveUp(): void {
    this.stopped = true;
    this.walk();
    Object.assign(this.lost, this.rest);
    if (this.lost.count > 0 && this.notes.length === 0) {
      this.note(
        this.hooks.hasOthers()
          ? "the deadline came before all objects had moved"
          : "no other node is there to keep objects of this one",
      );
    }
  }

  private *movable(): Generator<StoredPrimary> {
    for (const one of this.hooks.primaries())
      if (!this.settled.has(one.object) && !this.hooks.ownedHere(one.object)) yield one;
  }

  private async move(one: StoredPrimary): Promise<void> {
    const { hooks } = this;
    const known: Try = this.tries.get(one.object) ?? {
      notBefore: 0,
      firstUnknown: undefined,
      keeper: undefined,
    };
    this.tries.set(one.object, known);
    try {
      known.keeper ??= await this.keepElsewhere(one);
      const outcome = await inTime(hooks.tellOwner(one, known.keeper), this.until - hooks.now());
      // An owner that is busy reads it later: what we sent waits for it, also when we are gone.
      if (outcome === "moved" || outcome === undefined) {
        this.settled.add(one.object);
        add(this.moved, one.size);
      } else if (outcome === "unknown") this.unknown(one, known, known.keeper);
    } catch (thrown) {
      // An owner that is busy is asked again, and the copy stays. One that is gone will not free it there either.
      if (known.keeper === undefined) {
        this.note(`object ${one.object} (${one.size} bytes): ${toError(thrown).message}`);
      } else if (!(thrown instanceof TimeoutError)) this.forget(one, known.keeper);
    }
    known.notBefore = hooks.now() + AGAIN_MS;
    if (this.settled.has(one.object)) this.tries.delete(one.object);
  }

  /** Freed, or just being made: its owner has not heard of it yet. */
  private unknown(one: StoredPrimary, known: Try, keeper: [node: string, agent: string]): void {
    known.firstUnknown ??= this.hooks.now();
    if (this.hooks.now() - known.firstUnknown >= UNKNOWN_MS) this.forget(one, keeper);
  }

  private forget(one: StoredPrimary, [node, agent]: [node: string, agent: string]): void {
    this.settled.add(one.object);
    this.hooks.free(node, agent, one.object);
  }

  /** @throws Error saying why each of the other nodes does not take it */
  private async keepElsewhere({ object, size }: StoredPrimary): Promise<[node: string, agent: string]> {
    const { hooks } = this;
    const failures: string[] = [];
    for (const { node, agent } of await this.candidates(object, size)) {
      try {
        const asked = hooks.keep(node, agent, { object, size, copies: [[hooks.node, hooks.agent]] });
        const late = Symbol();
        const answer = await inTime(
          asked.then(() => undefined),
          this.until - hooks.now(),
          late,
        );
        if (answer !== late) return [node, agent];
        failures.push(`node ${node} had no room in time`);
      } catch (error) {
        hooks.free(node, agent, object); // it may only have been too late
        failures.push(`node ${node}: ${toError(error).message}`);
      }
    }
    throw new Error(failures.length === 0 ? "no other node is there" : failures.join("; "));
  }

  /**
   * Nodes that could keep it: those with room in memory first, the most room first. What has another copy elsewhere is to
   * have one more, not the same: nodes that have it are asked last.
   */
  private async candidates(object: string, size: number): Promise<{ node: string; agent: string }[]> {
    const { hooks } = this;
    const holders = new Set(await hooks.holders(object));
    const room = (view: NodeView): number => view.storeCapacity - view.storeUsed - size;
    return [...(await this.nodes())]
      .filter(({ node, state }) => node !== hooks.node && state === "ALIVE")
      .sort((a, b) => Number(holders.has(a.node)) - Number(holders.has(b.node)) || room(b) - room(a));
  }

  /** In large clusters asking for them takes time, and many objects may move. */
  private nodes(): Promise<readonly NodeView[]> {
    const now = this.hooks.now();
    if (this.known === undefined || now - this.known.at > NODES_MS) {
      this.known = { at: now, nodes: Promise.resolve(this.hooks.nodes()) };
    }
    return this.known.nodes;
  }

  private note(line: string): void {
    if (this.notes.length < MOST_NOTES && !this.notes.includes(line)) this.notes.push(line);
  }
}

function add(to: Amount, bytes: number): void {
  to.count++;
  to.bytes += bytes;
}

function take(from: Amount, bytes: number): void {
  from.count--;
  from.bytes -= bytes;
}

/** The outcome, or `late` where it does not come within `ms`. */
function inTime<T, L = undefined>(work: Promise<T>, ms: number, late?: L): Promise<T | L> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => resolve(late as L), Math.max(0, ms));
    work.finally(() => clearTimeout(timer)).then(resolve, reject);
  });
}
