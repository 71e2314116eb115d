/** The actors that live on this node: from a reservation, through the constructor, to the end of the process. */
import { BundleLostError, type Reservation } from "@stingray/scheduler";
import {
  ActorDiedError,
  OUT_OF_SCOPE,
  RuntimeEnvError,
  StaleEpochError,
  StingrayError,
  encodeError,
  toError,
  type ActorSpec,
  type ExitReport,
  type JobId,
  type ProcessId,
  type Shape,
  type WireError,
} from "@stingray/protocol";
import { monotonicMs } from "@stingray/task/internal";
import { crashError } from "./actor-crash.js";
import type { ActorBook, ActorEntry } from "./actor-book.js";
import { describe } from "./actor-directory.js";
import { leaveInOrder, type LeaveOptions, type LeaveOutcome } from "./actor-leave.js";

export interface HostHooks {
  readonly agent: ProcessId;
  readonly node: string;
  reserveNow(ask: { job: JobId; shape: Shape; what: string }): Promise<Reservation> | undefined;
  /** Why a shape has no room here now. */
  missing(shape: Shape): string;
  /** Sends `worker.startActor`; rejects with what the constructor threw, or when the worker is gone. */
  startActor(worker: ProcessId, incarnation: Incarnation): Promise<void>;
  /** `worker.leaveActor`; rejects when the worker is gone, or late. */
  leaveActor(
    worker: ProcessId,
    ask: { reason: string; deadlineMs: number; save: boolean },
  ): Promise<{ running: number; error?: string | undefined }>;
  /** The incarnation was ended in order, to be made again on another node. False: it was not the newest any more. */
  moved(actor: string, epoch: number, cause: WireError): Promise<boolean>;
  /** Whether the process still runs and can be reached. */
  reachable(worker: ProcessId): boolean;
  endWorker(worker: ProcessId, reason: string): void;
  killWorker(worker: ProcessId, reason: string): void;
  /** Resolves when the process has ended. */
  whenGone(worker: ProcessId): Promise<void>;
  /** The actor ends for good. */
  endActor(actor: string, cause: StingrayError | WireError): Promise<void>;
  /** The process of an incarnation is gone: write it down, and find a new place if it may come back. */
  lost(actor: string, epoch: number, cause: WireError): Promise<void>;
  failed(what: string, error: unknown): void;
}

/**
 * One incarnation of an actor on this node. `alive` once its constructor has run and the row says so; `leaving` while it
 * is being ended because the node is drained.
 */
export interface Incarnation {
  readonly spec: ActorSpec;
  readonly epoch: number;
  /** No incarnation before it was ever alive. */
  readonly fresh: boolean;
  /** Why the one before it ended, where that is known. */
  cause?: WireError;
  state: "reserving" | "starting" | "alive" | "leaving" | "over";
  worker?: ProcessId;
  reservation?: Reservation;
  /** When its worker was told to make it, in milliseconds of the machine's monotonic clock. */
  startedAt?: number;
}

export class ActorHost {
  private readonly hosted = new Map<string, Incarnation>();
  private readonly byWorker = new Map<ProcessId, Incarnation>();

  constructor(
    private readonly book: ActorBook,
    private readonly hooks: HostHooks,
  ) {}

  get size(): number {
    return this.hosted.size;
  }
  /** The incarnation of an actor that is here, or is being made here. */
  find(actor: string): Incarnation | undefined {
    return this.hosted.get(actor);
  }
  on(worker: ProcessId): Incarnation | undefined {
    return this.byWorker.get(worker);
  }

  /** Another agent offers an actor. Taken if there is room now and the claim is the newest. */
  async accept(spec: ActorSpec, epoch: number): Promise<{ accepted: boolean; reason?: string }> {
    if (this.hosted.get(spec.actor)?.epoch === epoch) return { accepted: true };
    const reservation = this.hooks.reserveNow({
      job: spec.job as JobId,
      shape: spec.placement,
      what: describe(spec),
    });
    if (reservation === undefined) {
      return { accepted: false, reason: this.hooks.missing(spec.placement) || "has no room now" };
    }
    const { agent, node } = this.hooks;
    const entry = await this.book
      .apply(spec.actor, { kind: "hosted", agent, node, epoch }, epoch)
      .catch((error: unknown) => {
        discard(reservation);
        throw error;
      });
    if (entry === undefined) {
      discard(reservation);
      return { accepted: false, reason: `the claim ${epoch} is no longer the newest` };
    }
    this.host(entry, epoch, reservation);
    return { accepted: true };
  }

  /** Makes the incarnation `epoch` here, in the background. `entry` is the row that its ALIVE will replace. */
  host(entry: ActorEntry, epoch: number, reservation: Promise<Reservation>): void {
    const { spec } = entry.value;
    const fresh = entry.value.state === "PENDING";
    const incarnation: Incarnation = { spec, epoch, fresh, state: "reserving" };
    if (entry.value.cause !== undefined) incarnation.cause = entry.value.cause;
    this.hosted.set(spec.actor, incarnation);
    this.start(incarnation, entry, reservation).catch((error: unknown) =>
      this.hooks.failed(`start ${describe(spec)}`, error),
    );
  }

  private async start(inc: Incarnation, entry: ActorEntry, pending: Promise<Reservation>): Promise<void> {
    try {
      inc.reservation = await pending;
    } catch (thrown) {
      const over = isOver(inc);
      this.drop(inc);
      // Given up meanwhile, as when the node leaves: the next incarnation is somebody else's.
      if (over) return;
      // The bundle that it was to live in is elsewhere now: so may the actor be.
      // A worker that ended while it was prepared says nothing against an environment in which the actor has lived before.
      const lost = thrown instanceof BundleLostError || (!inc.fresh && thrown instanceof RuntimeEnvError);
      if (lost) await this.hooks.lost(inc.spec.actor, inc.epoch, encodeError(thrown));
      else await this.hooks.endActor(inc.spec.actor, asStingray(inc.spec, thrown));
      return;
    }
    const worker = inc.reservation.worker;
    inc.worker = worker;
    if (isOver(inc)) {
      inc.reservation.release(true);
      this.drop(inc);
      return;
    }
    if (!this.hooks.reachable(worker)) {
      this.drop(inc);
      await this.hooks.lost(inc.spec.actor, inc.epoch, this.crash(inc, undefined));
      return;
    }
    this.byWorker.set(worker, inc);
    inc.state = "starting";
    inc.startedAt = monotonicMs();
    try {
      await this.hooks.startActor(worker, inc);
    } catch (thrown) {
      // A worker that died reports its exit, which decides about a restart; only what the constructor threw is final.
      if (isOver(inc)) return;
      if (!this.hooks.reachable(worker)) {
        this.hooks.killWorker(worker, "can't be reached");
        return;
      }
      if (thrown instanceof StaleEpochError) {
        this.drop(inc);
        this.hooks.killWorker(worker, `incarnation ${inc.epoch} of the actor was replaced`);
        return;
      }
      if (mayBeTriedAgain(thrown)) {
        this.drop(inc);
        this.hooks.endWorker(worker, "the state of its actor could not be restored");
        await this.hooks.lost(inc.spec.actor, inc.epoch, encodeError(thrown));
        return;
      }
      inc.state = "over";
      await this.hooks.endActor(inc.spec.actor, encodeError(thrown));
      this.hooks.endWorker(worker, "its actor could not be made");
      return;
    }
    await this.alive(inc, entry, worker);
  }

  private async alive(inc: Incarnation, entry: ActorEntry, worker: ProcessId): Promise<void> {
    if (isOver(inc)) return;
    const { agent, node } = this.hooks;
    const event = { kind: "alive", agent, node, process: worker, epoch: inc.epoch } as const;
    const row = await this.book.apply(inc.spec.actor, event, entry.revision);
    if (isOver(inc)) return;
    if (row === undefined) {
      inc.state = "over";
      this.hooks.killWorker(worker, `incarnation ${inc.epoch} of the actor was given up`);
      return;
    }
    inc.state = "alive";
    inc.reservation?.shrinkTo(inc.spec.running);
  }

  /** The row changed: an incarnation that is no longer the one meant ends. */
  rowChanged(actor: string, now: ActorEntry | undefined): void {
    const inc = this.hosted.get(actor);
    if (inc === undefined || inc.state === "over") return;
    if (now !== undefined && now.value.state !== "DEAD" && now.value.epoch <= inc.epoch) return;
    inc.state = "over";
    if (inc.worker === undefined) return;
    const reason = now?.value.cause?.detail?.["reason"];
    if (reason === OUT_OF_SCOPE) this.hooks.endWorker(inc.worker, OUT_OF_SCOPE);
    else this.hooks.killWorker(inc.worker, now?.value.cause?.message ?? "the actor ended");
  }

  /** The actor ended by itself. Not restarted. */
  async exited(worker: ProcessId, actor: string, epoch: number, error: WireError | undefined): Promise<void> {
    const inc = this.byWorker.get(worker);
    if (inc === undefined || inc.spec.actor !== actor || inc.epoch !== epoch) return;
    inc.state = "over";
    const cause = error ?? encodeError(new ActorDiedError(`${describe(inc.spec)} ended by itself`));
    await this.hooks.endActor(actor, cause);
    this.hooks.endWorker(worker, "its actor ended");
  }

  /** A worker is gone, and with it the actor on it. */
  workerExited(worker: ProcessId, report: ExitReport): void {
    const inc = this.byWorker.get(worker);
    if (inc === undefined) return;
    const { state } = inc;
    if (state === "leaving") return; // whoever has it leave goes on from here
    this.drop(inc);
    if (state === "over") return;
    this.hooks
      .lost(inc.spec.actor, inc.epoch, this.crash(inc, report))
      .catch((error: unknown) => this.hooks.failed(`write down the end of ${describe(inc.spec)}`, error));
  }

  /** Those that live here or are being made. */
  all(): IterableIterator<Incarnation> {
    return this.hosted.values();
  }

  /** The node is drained: see {@link leaveInOrder}. */
  leave(inc: Incarnation, o: LeaveOptions): Promise<LeaveOutcome> {
    return leaveInOrder(inc, o, this.hooks, () => {
      this.hosted.delete(inc.spec.actor);
      if (inc.worker !== undefined) this.byWorker.delete(inc.worker);
      inc.state = "over";
    });
  }

  /** It was put to sleep: what it has is given back when its process is gone. */
  detach(inc: Incarnation): void {
    const { worker, reservation } = inc;
    this.hosted.delete(inc.spec.actor);
    inc.state = "over";
    if (worker === undefined) return;
    this.byWorker.delete(worker);
    void this.hooks.whenGone(worker).then(() => reservation?.release());
  }

  /** The workers whose actors end with the job and have an `onDeactivate` to be run before. */
  toDeactivate(job: string): ProcessId[] {
    const found: ProcessId[] = [];
    for (const { spec, state, worker } of this.hosted.values()) {
      const mine = spec.job === job && !spec.detached && state === "alive";
      if (mine && worker !== undefined && Object.hasOwn(spec.methods, "onDeactivate")) found.push(worker);
    }
    return found;
  }

  /** The job is over: its actors here end with their processes and do not come back. */
  forgetJob(job: string): void {
    for (const inc of this.hosted.values()) {
      if (inc.spec.job === job && !inc.spec.detached) inc.state = "over";
    }
  }

  /** The node leaves: the actors here are no longer its business. */
  forgetAll(): void {
    for (const inc of this.hosted.values()) inc.state = "over";
  }

  private drop(inc: Incarnation): void {
    inc.state = "over";
    if (this.hosted.get(inc.spec.actor) === inc) this.hosted.delete(inc.spec.actor);
    if (inc.worker !== undefined) this.byWorker.delete(inc.worker);
    inc.reservation?.release();
  }

  private crash(inc: Incarnation, report: ExitReport | undefined): WireError {
    const restarts = this.book.get(inc.spec.actor)?.value.restarts ?? 0;
    return encodeError(crashError(inc.spec, report, restarts));
  }
}

/** What `restore` threw: the state is still there, so the next incarnation may do better. */
const mayBeTriedAgain = (thrown: unknown): thrown is StingrayError =>
  thrown instanceof StingrayError && thrown.detail["step"] === "restore";

/** Asked after an await: the state may have changed meanwhile. */
const isOver = (inc: Incarnation): boolean => inc.state === "over";

function discard(reservation: Promise<Reservation>): void {
  reservation.then((r) => r.release(true)).catch(() => undefined);
}

function asStingray(spec: ActorSpec, thrown: unknown): StingrayError {
  const error = toError(thrown);
  return error instanceof StingrayError
    ? error
    : new RuntimeEnvError(`${describe(spec)} got no worker: ${error.message}`, { cause: error });
}
