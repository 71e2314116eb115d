/** The actors of a node that is drained: those that may be made again move, the others end at the deadline. */
import type { Bid } from "@stingray/scheduler";
import type { ActorSpec } from "@stingray/protocol";
import { describe } from "../../controller/actor-directory.js";
import type { Incarnation } from "../../controller/actor-host.js";
import { Room } from "./room.js";

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
  /** Nothing is left here that is waited for, but actors. */
  readonly idle: boolean;
}

/** Actors that begin to end at the same time, before the deadline, at most: so that few are away at a time. */
const AT_ONCE = 16;
/** One that has not ended after this waits for its calls, and others may begin to end. Milliseconds. */
const WAITS_MS = 1_000;
/** What the calls of an actor get that is ended at the deadline; its `onDeactivate` comes after. Milliseconds. */
const LAST_CALLS_MS = 500;
/** So long after the deadline no actor is waited for any more. Milliseconds. */
const LAST_MS = 1_000;
/** The processes of actors that have moved stay for so long, for callers that have not heard of it. Milliseconds. */
const LINGER_MS = 1_000;

export class LeavingActors {
  moved = 0;
  ended = 0;
  readonly notes: string[] = [];
  private readonly underWay = new Map<string, { spec: ActorSpec; since: number }>();
  /** Moved, and perhaps without a new place. */
  private readonly placeless = new Set<string>();
  /** Moved just now, or without a new place: no bid tells yet of what they take. */
  private readonly onTheirWay = new Map<string, { spec: ActorSpec; since: number }>();
  private lastMovedAt = -Infinity;
  /** Aborted when the deadline has passed, which may have come closer since an actor was asked to end. */
  private readonly late = new AbortController();
  private alone = false;

  constructor(private readonly hooks: LeavingActorHooks) {}

  /** Actors that are still here, or have no new place yet, or have moved just now. */
  get left(): number {
    const lingers = !this.alone && this.hooks.now() - this.lastMovedAt < LINGER_MS;
    return this.here(() => true) + Math.max(this.waiting, lingers ? 1 : 0);
  }

  /** Those that are still here or have no new place, but for the ones that live in bundles, which are to be the last. */
  get leftFree(): number {
    return this.here((spec) => !isBundled(spec)) + this.waiting;
  }

  /** Those without a new place. */
  private get waiting(): number {
    for (const actor of this.placeless) if (!this.hooks.isPlaceless(actor)) this.placeless.delete(actor);
    return this.placeless.size;
  }

  private here(which: (spec: ActorSpec) => boolean): number {
    // Those under way are no longer hosted when their end is being written down.
    let here = 0;
    for (const { spec } of this.underWay.values()) if (which(spec)) here++;
    for (const { spec, state } of this.hooks.hosted())
      if (state !== "over" && !this.underWay.has(spec.actor) && which(spec)) here++;
    return here;
  }

  step(now: ActorsStep): void {
    // At the deadline, what waits for a place waits in the table, and the controller finds one.
    this.alone = now.alone;
    if (now.late || now.alone) this.placeless.clear();
    if (now.late && now.deadline + LAST_MS <= this.hooks.now()) this.late.abort();
    const ready = [...this.hooks.hosted()].filter(
      ({ spec, state }) => state === "alive" && !this.underWay.has(spec.actor),
    );
    if (ready.length === 0) return;
    const room = now.late || now.alone ? new Room([]) : this.roomElsewhere();
    const bundledToo = now.idle && (now.alone || this.leftFree === 0);
    let free = now.late ? Infinity : AT_ONCE - this.ending();
    for (const incarnation of ready) {
      if (free <= 0) return;
      const { spec } = incarnation;
      const again = this.mayMove(spec);
      if (!now.late && !this.isTime(spec, now, { again, room, bundledToo })) continue;
      free--;
      const deadlineMs = Math.max(LAST_CALLS_MS, now.deadline - this.hooks.now());
      void this.leave(incarnation, { reason: now.reason, deadlineMs, again });
    }
  }

  private isTime(
    spec: ActorSpec,
    { alone, idle }: ActorsStep,
    o: { again: boolean; room: Room; bundledToo: boolean },
  ): boolean {
    if (alone) return idle;
    if (!o.again) return false;
    // Its bundle is made again elsewhere when this node has left: until then it is best off here.
    return isBundled(spec) ? o.bundledToo : o.room.take(spec);
  }

  /** Those that have begun to end a short while ago. */
  private ending(): number {
    const from = this.hooks.now() - WAITS_MS;
    return [...this.underWay.values()].filter(({ since }) => since > from).length;
  }

  /** What others have free, without what those take that are on their way. */
  private roomElsewhere(): Room {
    const room = new Room(this.hooks.others());
    const from = this.hooks.now() - LINGER_MS;
    for (const [actor, { since }] of this.onTheirWay)
      if (since < from && !this.placeless.has(actor)) this.onTheirWay.delete(actor);
    for (const { spec } of [...this.underWay.values(), ...this.onTheirWay.values()])
      if (!isBundled(spec)) room.take(spec);
    return room;
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
    this.underWay.set(spec.actor, { spec, since: this.hooks.now() });
    try {
      const outcome = await this.hooks.leave(incarnation, { ...o, late: this.late.signal });
      if (outcome === "moved") {
        this.moved++;
        this.lastMovedAt = this.hooks.now();
        if (!isBundled(spec)) {
          this.placeless.add(spec.actor);
          this.onTheirWay.set(spec.actor, { spec, since: this.lastMovedAt });
        }
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
