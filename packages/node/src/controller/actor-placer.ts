/**
 * Finds a place for an actor that has a claim: this node if it is best, else the best other node that takes it. What
 * fits nowhere now waits in the local queue and for the bids of others at the same time; the first wins.
 */
import {
  rank,
  type Bid,
  type ClusterView,
  type GroupLookup,
  type LeaseScheduler,
  type Ranked,
  type Reservation,
} from "@stingray/scheduler";
import {
  OutOfMemoryError,
  UnschedulableError,
  toError,
  type ActorSpec,
  type JobId,
  type NodeId,
  type ProcessId,
  type Shape,
  type StingrayError,
} from "@stingray/protocol";
import { orderFor } from "../shared/choice.js";
import { groupCandidates } from "../groups/actor-candidates.js";
import { otherNodes } from "./other-nodes.js";
import type { ActorEntry } from "./actor-book.js";
import { describe } from "./actor-directory.js";
import { PlacementWait, type ReasonToWait } from "./placement-wait.js";
import { RestartPauses, type RestartPause } from "./restart-pauses.js";

export interface PlacerHooks {
  ownBid(): Bid;
  /** Learns of a node with room for it, where not all are heard. Never rejects. */
  look(shape: Shape): Promise<void>;
  /** What is known of placement groups, and how to hear when that changes. */
  readonly groups: GroupLookup;
  onGroupChange(listener: () => void): () => void;
  /** Host it here; `reservation` may still be on its way. */
  host(entry: ActorEntry, reservation: Promise<Reservation>): void;
  /** Host one here that lives with others. @throws RuntimeEnvError */
  hostShared(entry: ActorEntry): Promise<void>;
  /** Ask another node to host it. Undefined where it does, else why not. */
  offer(to: { node: NodeId; agent: ProcessId }, spec: ActorSpec, epoch: number): Promise<string | undefined>;
  /** It will never have a place. */
  giveUp(entry: ActorEntry, error: StingrayError): void;
  /** Undefined: it does not wait for a place any more. */
  waitsFor(actor: string, why: ReasonToWait | undefined): void;
}

/** How often the bundles of a placement group are looked at again at least, in milliseconds. */
const LOOK_AGAIN_MS = 250;
/** The same for other nodes, where their bids are not all heard. */
const UNHEARD_AGAIN_MS = 1_000;

/** The search for a place for one claim. */
interface Search {
  readonly spec: ActorSpec;
  readonly revision: number;
  readonly abort: AbortController;
  readonly wait: PlacementWait;
}

export class ActorPlacer {
  private readonly running = new Map<string, Search>();
  private readonly pauses = new RestartPauses();

  constructor(
    private readonly view: ClusterView,
    private readonly scheduler: LeaseScheduler,
    private readonly hooks: PlacerHooks,
  ) {}

  /** As `place`, for the next incarnation of one that has ended: after a pause, if that happened again and again. */
  placeAgain(entry: ActorEntry): void {
    const forMemory = entry.value.cause?.code === OutOfMemoryError.code;
    this.place(entry, this.pauses.next(entry.key, performance.now(), forMemory));
  }

  /** Begins to look for a place, in the background. A later claim of the same actor replaces an earlier one. */
  place(entry: ActorEntry, pause?: RestartPause): void {
    this.running.get(entry.key)?.abort.abort();
    const { spec } = entry.value;
    const wait = new PlacementWait(spec, (why) => this.hooks.waitsFor(spec.actor, why));
    const run = { spec, revision: entry.revision, abort: new AbortController(), wait };
    this.running.set(entry.key, run);
    this.pause(pause, run)
      .then(() => this.search(entry, run.abort.signal, wait))
      .catch((thrown: unknown) => {
        if (!run.abort.signal.aborted) this.hooks.giveUp(entry, asUnschedulable(entry, thrown));
      })
      .finally(() => {
        run.wait.end();
        run.abort.abort();
        if (this.running.get(entry.key) !== run) return;
        this.running.delete(entry.key);
        this.hooks.waitsFor(spec.actor, undefined);
      });
  }

  /** The row was written: by whom ever, the claim that is being placed is no longer the newest. */
  rowChanged(actor: string, now: ActorEntry | undefined): void {
    const run = this.running.get(actor);
    if (run !== undefined && (now === undefined || now.revision > run.revision)) run.abort.abort();
  }

  /** The job is over: no places are looked for any more but for its detached actors. */
  endJob(job: string): void {
    for (const { spec, abort } of this.running.values()) {
      if (spec.job === job && !spec.detached) abort.abort();
    }
  }

  /** Those that wait for a place, and why. */
  waiting(): { spec: ActorSpec; wait: Pick<PlacementWait, "ms" | "why" | "infeasible"> }[] {
    return [...this.running.values()];
  }

  /** Actors that wait for a place. */
  get size(): number {
    return this.running.size;
  }

  stop(): void {
    for (const { abort } of this.running.values()) abort.abort();
  }

  private async pause(pause: RestartPause | undefined, { wait, abort }: Search): Promise<void> {
    if (pause === undefined || pause.ms === 0) return;
    wait.because(
      pause.inARow === 1
        ? `its process ended for want of memory; the next one is started in ${pause.ms} ms`
        : `its process ended ${pause.inARow} times in a row soon after its start; next in ${pause.ms} ms`,
    );
    await new Promise<void>((over) => {
      const timer = setTimeout(over, pause.ms).unref();
      abort.signal.addEventListener("abort", () => (clearTimeout(timer), over()), { once: true });
    });
  }

  private async search(entry: ActorEntry, signal: AbortSignal, wait: PlacementWait): Promise<void> {
    const { spec } = entry.value;
    const ask = { job: spec.job as JobId, shape: spec.placement, what: describe(spec) };
    /** Nodes that refused, by the bid that they refused with. */
    const refused = new Map<NodeId, number>();
    let queued: Promise<Reservation> | undefined;
    const leaveQueue = new AbortController();
    try {
      while (!signal.aborted) {
        const change = this.nextChange(spec, signal);
        const ownBid = this.hooks.ownBid();
        if (this.view.unheard(ownBid.node) > 0) await this.hooks.look(spec.placement);
        const others = otherNodes(this.view, ownBid.node, spec.placement, Math.random);
        const nodes = { own: ownBid, others, refused };
        const bound = groupCandidates(spec, describe(spec), nodes, this.hooks.groups, wait.ms);
        if (bound !== undefined && "waitsFor" in bound) {
          wait.because(bound.waitsFor);
          await change;
          continue;
        }
        const ranked = bound?.ranked ?? rank(spec.placement, [ownBid, ...others], { random: Math.random });
        this.checkAffinity(spec, ranked);
        for (const candidate of spec.shared === true ? orderFor(spec.placement, ranked) : ranked) {
          if (candidate.fit !== "now") break;
          if (candidate.node === ownBid.node && spec.shared === true) {
            wait.because(`the process that it is to live in on node ${ownBid.node} is being prepared`);
            await this.hooks.hostShared(entry);
            return;
          }
          if (candidate.node === ownBid.node) {
            const reservation = queued ?? this.scheduler.reserveNow(ask);
            if (reservation === undefined || reservation === queued) continue;
            this.hooks.host(entry, reservation);
            return;
          }
          if (bound === undefined) this.view.charge(candidate.node, spec.placement.resources);
          const bid = nodes.others.find(({ node }) => node === candidate.node);
          const refusal = await this.hooks.offer(candidate, spec, entry.revision);
          if (refusal === undefined || signal.aborted) return;
          refused.set(candidate.node, bid?.sequence ?? 0);
        }
        wait.update(ranked);
        const own = ranked.find((r) => r.node === ownBid.node);
        if (spec.shared !== true && queued === undefined && own !== undefined && own.fit !== "never") {
          const asked = this.scheduler.reserve({ ...ask, signal: leaveQueue.signal });
          queued = asked;
          // A bundle may go while one waits for it, and come back elsewhere.
          asked.catch(() => {
            if (bound !== undefined && queued === asked) queued = undefined;
          });
        }
        const waits = queued === undefined ? [] : [bound === undefined ? queued : queued.catch(() => change)];
        const won = await Promise.race([change, ...waits]).catch((thrown: unknown) => {
          if (!this.scheduler.draining) throw thrown;
          queued = undefined; // not here, then
          return undefined;
        });
        if (won !== undefined && queued !== undefined && !signal.aborted) {
          const reservation = queued;
          queued = undefined;
          this.hooks.host(entry, reservation);
          return;
        }
      }
    } finally {
      leaveQueue.abort();
      // It may have been granted at the very moment that another place was found.
      queued?.then((reservation) => reservation.release(true)).catch(() => undefined);
    }
  }

  private checkAffinity(spec: ActorSpec, ranked: readonly Ranked[]): void {
    const wanted = spec.placement.scheduling;
    if (wanted?.kind !== "node" || wanted.soft) return;
    const node = ranked.find((r) => r.node === wanted.node);
    if (node === undefined || node.fit === "never") {
      throw new UnschedulableError(
        `${describe(spec)} must run on node ${wanted.node}, which ${node === undefined ? "is not in the cluster" : node.reason}: ` +
          `choose another node, or make the affinity soft`,
      );
    }
  }

  /**
   * Resolves with the next bid or departure of another node, or when the search is over; for an actor that is bound to
   * a placement group also when one of those changed, and after a while; after a while, too, where not all are heard.
   */
  private nextChange(spec: ActorSpec, signal: AbortSignal): Promise<undefined> {
    return new Promise((resolve) => {
      const bound = spec.placement.scheduling?.kind === "group";
      const done = (): void => {
        stop();
        stopGroups?.();
        clearTimeout(timer);
        signal.removeEventListener("abort", done);
        resolve(undefined);
      };
      const stop = this.view.onChange(done);
      const stopGroups = bound ? this.hooks.onGroupChange(done) : undefined;
      const again = bound
        ? LOOK_AGAIN_MS
        : this.view.unheard(this.hooks.ownBid().node) > 0
          ? UNHEARD_AGAIN_MS
          : undefined;
      const timer = again === undefined ? undefined : setTimeout(done, again).unref();
      signal.addEventListener("abort", done, { once: true });
      if (signal.aborted) done();
    });
  }
}

function asUnschedulable(entry: ActorEntry, thrown: unknown): StingrayError {
  const error = toError(thrown);
  if ("code" in error && "retryable" in error) return error as StingrayError;
  return new UnschedulableError(`${describe(entry.value.spec)} could not be placed: ${error.message}`, {
    cause: error,
  });
}
