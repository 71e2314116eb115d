/** The actors of a node that is drained: those that may be made again move, the others end at the deadline. */
import type { Bid } from "@stingray/scheduler";
import { rank } from "@stingray/scheduler";
import type { ActorSpec } from "@stingray/protocol";
import { describe } from "../../controller/actor-directory.js";
import type { Incarnation } from "../../controller/actor-host.js";

export interface LeavingActorHooks {
  readonly node: string;
  /** Those that live here or are being made. */
  hosted(): Iterable<Incarnation>;
  /** Ends it in order, or at once when `late`. `again`: it is made anew on another node; else it is dead. */
  leave(
    incarnation: Incarnation,
    o: { reason: string; deadlineMs: number; again: boolean; late: AbortSignal },
  ): Promise<"moved" | "ended" | "over">;
  /** Whether it has moved but has no new place yet. */
  isPlaceless(actor: string): boolean;
  /** The nodes that take on work. */
  others(): Bid[];
  failed(what: string, error: unknown): void;
  now(): number;
}

export interface ActorsStep {
  readonly reason: string;
  readonly deadline: number;
  /** The deadline has passed. */
  readonly late: boolean;
  /** There is no other node. */
  readonly alone: boolean;
  /** No tasks run here. */
  readonly idle: boolean;
}

/** Actors that end at the same time, at most. */
const AT_ONCE = 16;
/** What an actor gets that is ended at the deadline, for its `onDeactivate`. Milliseconds. */
const LAST_MS = 1_000;
/** The processes of actors that have moved stay for so long, for callers that have not heard of it. Milliseconds. */
const LINGER_MS = 1_000;

export class LeavingActors {
  moved = 0;
  ended = 0;
  readonly notes: string[] = [];
  private readonly underWay = new Set<string>();
  /** Moved, and perhaps without a new place. */
  private readonly placeless = new Set<string>();
  private lastMovedAt = -Infinity;
  /** Aborted when the deadline has passed, which may have come closer since an actor was asked to end. */
  private readonly late = new AbortController();
  private alone = false;

  constructor(private readonly hooks: LeavingActorHooks) {}

  /** Actors that are still here, or have no new place yet, or have moved just now. */
  get left(): number {
    for (const actor of this.placeless) if (!this.hooks.isPlaceless(actor)) this.placeless.delete(actor);
    // Those under way are no longer hosted when their end is being written down.
    let here = this.underWay.size;
    for (const { spec, state } of this.hooks.hosted())
      if (state !== "over" && !this.underWay.has(spec.actor)) here++;
    const lingers = !this.alone && this.hooks.now() - this.lastMovedAt < LINGER_MS;
    return here + Math.max(this.placeless.size, lingers ? 1 : 0);
  }

  step(now: ActorsStep): void {
    // At the deadline, what waits for a place waits in the table, and the controller finds one.
    this.alone = now.alone;
    if (now.late || now.alone) this.placeless.clear();
    if (now.late && this.underWay.size > 0 && now.deadline + LAST_MS <= this.hooks.now()) this.late.abort();
    const others = this.hooks.others();
    for (const incarnation of this.hooks.hosted()) {
      const { spec, state } = incarnation;
      if (state !== "alive" || this.underWay.has(spec.actor)) continue;
      if (this.underWay.size >= AT_ONCE) return;
      const again = this.mayMove(spec);
      if (!now.late && !this.isTime(spec, now, again && others)) continue;
      const deadlineMs = Math.max(LAST_MS, now.deadline - this.hooks.now());
      void this.leave(incarnation, { reason: now.reason, deadlineMs, again });
    }
  }

  /** @param others that it may move to; false: none */
  private isTime(spec: ActorSpec, { alone, idle }: ActorsStep, others: Bid[] | false): boolean {
    if (alone) return idle;
    if (others === false) return false;
    // Its bundle is made again elsewhere when this node has left: until then it is best off here.
    return isBundled(spec) ? idle : hasRoom(spec, others);
  }

  private mayMove({ maxRestarts, placement: { scheduling } }: ActorSpec): boolean {
    const bound = scheduling?.kind === "node" && !scheduling.soft && scheduling.node === this.hooks.node;
    return maxRestarts !== 0 && !bound;
  }

  private async leave(
    incarnation: Incarnation,
    o: { reason: string; deadlineMs: number; again: boolean },
  ): Promise<void> {
    const { spec } = incarnation;
    this.underWay.add(spec.actor);
    try {
      const outcome = await this.hooks.leave(incarnation, { ...o, late: this.late.signal });
      if (outcome === "moved") {
        this.moved++;
        this.lastMovedAt = this.hooks.now();
        if (!isBundled(spec)) this.placeless.add(spec.actor);
      } else if (outcome === "ended") {
        this.ended++;
        this.notes.push(`${describe(spec)} ended: it may not be made again elsewhere`);
      }
    } catch (error) {
      this.hooks.failed(`move ${describe(spec)} to another node`, error);
    } finally {
      this.underWay.delete(spec.actor);
    }
  }
}

/** It lives in a bundle of a placement group. */
function isBundled({ placement }: ActorSpec): boolean {
  return placement.scheduling?.kind === "group";
}

function hasRoom(spec: ActorSpec, others: Bid[]): boolean {
  return rank(spec.placement, others, { random: Math.random }).some(({ fit }) => fit === "now");
}
