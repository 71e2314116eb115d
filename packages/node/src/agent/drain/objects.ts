/**
 * The objects of a node that is drained: other nodes keep them, and their owners learn where. What belongs to a process
 * of this node is not moved, since it ends with its owner.
 */
import { toError } from "@stingray/protocol";
import type { ReplicaHooks } from "../store/replicas.js";

export interface StoredPrimary {
  readonly object: string;
  readonly size: number;
}

export interface LeavingObjectHooks extends ReplicaHooks {
  /** Complete objects of this node's store that are no copies of others'. */
  primaries(): Iterable<StoredPrimary>;
  /** Whether the object's owner is a process of this node. */
  ownedHere(object: string): boolean;
  /** `object.moved` at the owner. Rejects where it is gone. */
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

/** Objects on their way at once. */
const AT_ONCE = 4;
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
  private readonly underWay = new Set<string>();
  private readonly tries = new Map<string, Try>();
  private stopped = false;

  constructor(private readonly hooks: LeavingObjectHooks) {}

  /** Sends on their way as many as may be. @param until when no answer is waited for any more */
  step(until: number): void {
    if (this.stopped || !this.hooks.hasOthers()) return;
    const now = this.hooks.now();
    for (const one of this.movable()) {
      if (this.underWay.size >= AT_ONCE) return;
      const known = this.tries.get(one.object);
      if (this.underWay.has(one.object) || (known !== undefined && known.notBefore > now)) continue;
      this.underWay.add(one.object);
      void this.move(one, until).finally(() => this.underWay.delete(one.object));
    }
  }

  left(): Amount {
    const left = { count: 0, bytes: 0 };
    for (const one of this.movable()) add(left, one.size);
    return left;
  }

  /** Nothing more is moved: what is left is lost. */
  giveUp(): void {
    this.stopped = true;
    Object.assign(this.lost, this.left());
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

  private async move(one: StoredPrimary, until: number): Promise<void> {
    const { hooks } = this;
    const known: Try = this.tries.get(one.object) ?? {
      notBefore: 0,
      firstUnknown: undefined,
      keeper: undefined,
    };
    this.tries.set(one.object, known);
    try {
      known.keeper ??= await this.keepElsewhere(one, until);
      const outcome = await inTime(hooks.tellOwner(one, known.keeper), until - hooks.now());
      // An owner that is busy reads it later: what we sent waits for it, also when we are gone.
      if (outcome === "moved" || outcome === undefined) {
        this.settled.add(one.object);
        add(this.moved, one.size);
      } else if (outcome === "unknown") this.unknown(one, known, known.keeper);
    } catch (thrown) {
      // Its owner is gone: nobody will free it there either.
      if (known.keeper !== undefined) this.forget(one, known.keeper);
      else this.note(`object ${one.object} (${one.size} bytes): ${toError(thrown).message}`);
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
  private async keepElsewhere(
    { object, size }: StoredPrimary,
    until: number,
  ): Promise<[node: string, agent: string]> {
    const { hooks } = this;
    const failures: string[] = [];
    for (const { node, agent } of await this.candidates(size)) {
      try {
        const asked = hooks.keep(node, agent, { object, size, copies: [[hooks.node, hooks.agent]] });
        const late = Symbol();
        const answer = await inTime(
          asked.then(() => undefined),
          until - hooks.now(),
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

  /** Nodes that could keep it: those with room in memory first, the most room first. */
  private async candidates(size: number): Promise<{ node: string; agent: string }[]> {
    const { hooks } = this;
    const room = (view: { storeUsed: number; storeCapacity: number }): number =>
      view.storeCapacity - view.storeUsed - size;
    return (await hooks.nodes())
      .filter(({ node, state }) => node !== hooks.node && state === "ALIVE")
      .sort((a, b) => room(b) - room(a));
  }

  private note(line: string): void {
    if (this.notes.length < MOST_NOTES && !this.notes.includes(line)) this.notes.push(line);
  }
}

function add(to: Amount, bytes: number): void {
  to.count++;
  to.bytes += bytes;
}

/** The outcome, or `late` where it does not come within `ms`. */
function inTime<T, L = undefined>(work: Promise<T>, ms: number, late?: L): Promise<T | L> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => resolve(late as L), Math.max(0, ms));
    work.finally(() => clearTimeout(timer)).then(resolve, reject);
  });
}
