/**
 * The actors of this node that live with others in few processes. One write to the control store makes such an actor:
 * its row says at once where it lives, and is its claim, whose revision is its epoch.
 */
import {
  ActorDiedError,
  ConnectionError,
  RuntimeEnvError,
  OUT_OF_SCOPE,
  encodeError,
  keepsState,
  type ActorSpec,
  type ActorView,
  type ExitReport,
  type NodeId,
  type ProcessId,
  type StingrayError,
  type WireError,
} from "@stingray/protocol";
import { Gate, monotonicMs } from "@stingray/task/internal";
import type { ActorBook, ActorEntry } from "../controller/actor-book.js";
import { describe } from "../controller/actor-directory.js";
import { nextActorRow, viewOf } from "../controller/actor-machine.js";
import type { Incarnation } from "../controller/actor-host.js";
import { aborted, type LeaveOptions, type LeaveOutcome } from "../controller/actor-leave.js";
import { crashOf } from "./crash.js";
import type { HostPool } from "./host-pool.js";
import type { HostProcess } from "./host-process.js";

export interface SharedActorHooks {
  readonly agent: ProcessId;
  readonly node: NodeId;
  /** Has the process make it; rejects with what the constructor threw, or when the process is gone. */
  start(
    host: HostProcess,
    worker: ProcessId,
    spec: ActorSpec,
    epoch: number,
    state?: Uint8Array,
  ): Promise<void>;
  /** What was saved of it; from here on no earlier incarnation saves anything. */
  beginState(incarnation: Incarnation): Promise<Uint8Array | undefined>;
  /** Has the process end it. */
  end(worker: ProcessId, ask: EndAsk): Promise<{ running: number; error?: string | undefined }>;
  /** Has the process end all that do not outlive their job. */
  endJob(worker: ProcessId, ask: { reason: string; deadlineMs: number }): Promise<unknown>;
  /** @param epoch only where it is the one that is alive */
  endActor(actor: string, cause: StingrayError | WireError, epoch?: number): Promise<void>;
  /** It is DEAD: its name is free, and nothing that was kept for it stays. */
  ended(spec: ActorSpec): Promise<void>;
  /** Finds a place for the claim, here or on another node. */
  place(entry: ActorEntry): void;
  /** The actor can be called, or not any more: whoever watches it is told. */
  changed(actor: string): void;
  failed(what: string, error: unknown): void;
}

export interface EndAsk {
  readonly actor: string;
  readonly epoch: number;
  readonly reason: string;
  readonly inOrder: boolean;
  readonly deadlineMs: number;
}

/** Calls that run when an actor ends may take so long, in milliseconds, before its `onDeactivate`. */
const END_MS = 5_000;
/** What the process may take beyond that to answer, before the next incarnation goes elsewhere. Milliseconds. */
const END_ANSWER_MS = 1_000;
/** Where no process is up within this, the actor gets a claim that says why it waits. Milliseconds. */
const UP_SOON_MS = 2_000;
/** A job that has been over for so long asks for no more actors. Milliseconds. */
const OVER_MS = 600_000;
/** Rows that are written at the same time: more would only wait at the broker, where their deadlines run. */
const WRITES_AT_ONCE = 256;
/** Writes under way at once when many actors have lost their process. */
const AT_ONCE = 128;

export interface SharedCreated {
  readonly entry: ActorEntry;
  /** Resolves when its constructor has ended, one way or the other. */
  readonly started: Promise<void>;
}

/** An incarnation whose constructor has not ended. */
interface Starting {
  /** 0 while its row is being written, which gives it. */
  epoch: number;
  /** In milliseconds of the machine's monotonic clock. */
  readonly since: number;
}

/** The process that an actor was to live in ended before it could be used. */
class HostLost extends Error {
  constructor(cause: unknown) {
    super("the process could not be used", { cause });
  }
}

export class SharedActors {
  /** Those whose constructor has not ended yet, and since when, in milliseconds of the machine's monotonic clock. */
  private readonly starting = new Map<string, Starting>();
  /** Creations under way. */
  private readonly creating = new Map<string, Promise<SharedCreated | undefined | "later">>();
  /** Claims that other agents have offered, and that are being hosted. */
  private readonly taken = new Map<string, { epoch: number; accepted: Promise<boolean> }>();
  /** Incarnations that are being ended and have successors, which are not made before. Never reject. */
  private readonly endings = new Map<string, Promise<void>>();
  /** Those that have something to save. */
  private readonly saving = new Map<string, Incarnation>();
  /** Those of jobs that are over, and since when: nothing is written of them any more. */
  private readonly overJobs = new Map<string, number>();
  private stopped = false;
  private readonly writes = new Gate(WRITES_AT_ONCE);

  constructor(
    private readonly pool: HostPool,
    private readonly book: ActorBook,
    private readonly hooks: SharedActorHooks,
  ) {}

  /** Those of this process whose constructor has not ended yet, and since when (monotonic, milliseconds). */
  *constructing(worker: ProcessId): IterableIterator<[actor: string, since: number]> {
    const actors = this.pool.on(worker)?.actors;
    if (actors === undefined) return;
    for (const [actor, { since }] of this.starting) if (actors.has(actor)) yield [actor, since];
  }

  /** Those that live here. */
  get size(): number {
    return this.pool.size;
  }

  /**
   * Makes an actor that nobody has claimed yet: one write. Resolves when that is done.
   * @param claimName takes its name, once the row is there; false where another has it
   * @returns the row, and the outcome of its constructor; undefined where there is such a row already, or no name for it;
   * "later": no process is up yet, nothing was done, and it is to be claimed as others are
   * @throws RuntimeEnvError where no process could be started
   */
  create(
    spec: ActorSpec,
    claimName: (entry: ActorEntry) => Promise<boolean>,
  ): Promise<SharedCreated | undefined | "later"> {
    const before = this.creating.get(spec.actor);
    if (before !== undefined) return before;
    const made = this.createOnce(spec, claimName).finally(() => this.creating.delete(spec.actor));
    this.creating.set(spec.actor, made);
    return made;
  }

  private async createOnce(
    spec: ActorSpec,
    claimName: (entry: ActorEntry) => Promise<boolean>,
  ): Promise<SharedCreated | undefined | "later"> {
    const host = await this.pool.choose(spec, 0);
    const starting: Starting = { epoch: 0, since: monotonicMs() };
    this.starting.set(spec.actor, starting);
    try {
      const worker = await upSoon(host);
      if (worker === undefined) {
        this.unmade(host, spec, 0);
        return "later";
      }
      const { agent, node } = this.hooks;
      const entry = await this.writes.through(() => {
        this.checkJob(spec);
        return this.book.create({
          spec,
          state: "ALIVE",
          epoch: 0,
          agent,
          node,
          process: worker,
          host: host.id,
          restarts: 0,
        });
      });
      if (entry !== undefined) {
        starting.epoch = entry.value.epoch;
        this.pool.named(host, spec.actor, starting.epoch);
      }
      if (entry !== undefined && this.isOver(spec)) {
        // The rows of its job may have been removed while this one was written.
        await this.book.remove(entry);
        this.checkJob(spec);
      }
      if (entry === undefined || !(await claimName(entry))) {
        this.unmade(host, spec, starting.epoch);
        return undefined;
      }
      return { entry, started: this.start(host, worker, entry, true) };
    } catch (error) {
      this.unmade(host, spec, starting.epoch);
      throw error;
    }
  }

  private isOver({ job, detached }: ActorSpec): boolean {
    return this.overJobs.has(job) && !detached;
  }

  /** @throws ActorDiedError where the job is over */
  private checkJob(spec: ActorSpec): void {
    if (this.isOver(spec))
      throw new ActorDiedError(`${describe(spec)} was not made: its job ${spec.job} is over`);
  }

  private unmade(host: HostProcess, spec: ActorSpec, epoch: number): void {
    this.begun(spec.actor, epoch);
    this.pool.left(host, spec, epoch);
  }

  /** Its constructor has ended, or never will run. */
  private begun(actor: string, epoch: number): void {
    if (this.starting.get(actor)?.epoch === epoch) this.starting.delete(actor);
  }

  /**
   * Another agent offers a claim: from the answer on this node answers for it, whatever its process takes to be up.
   * Offered again, it is the same one. False: the claim is no longer the newest.
   */
  accept(spec: ActorSpec, epoch: number): Promise<boolean> {
    const before = this.taken.get(spec.actor);
    if (before?.epoch === epoch) return before.accepted;
    const accepted = this.take(spec, epoch);
    const taken = { epoch, accepted };
    this.taken.set(spec.actor, taken);
    const done = (): void => void (this.taken.get(spec.actor) === taken && this.taken.delete(spec.actor));
    accepted.then((is) => (is ? undefined : done()), done);
    return accepted;
  }

  private async take(spec: ActorSpec, epoch: number): Promise<boolean> {
    const known = this.book.get(spec.actor)?.value;
    if (known?.epoch === epoch && known.agent === this.hooks.agent) return true;
    const { agent, node } = this.hooks;
    const entry = await this.writes.through(() =>
      this.book.apply(spec.actor, { kind: "hosted", agent, node, epoch }, epoch),
    );
    if (entry === undefined) return false;
    this.host(entry, epoch)
      .catch((error: unknown) => this.hooks.endActor(spec.actor, encodeError(error)))
      .catch((error: unknown) => this.hooks.failed(`end ${describe(spec)}`, error))
      .finally(() => this.taken.get(spec.actor)?.epoch === epoch && this.taken.delete(spec.actor));
    return true;
  }

  /**
   * Makes the incarnation `epoch` here; its row says so before its constructor has run. False: the claim is no longer the
   * newest.
   * @throws RuntimeEnvError where no process could be started for an actor that never lived
   */
  async host(entry: ActorEntry, epoch = entry.revision): Promise<boolean> {
    const { spec } = entry.value;
    const fresh = entry.value.state === "PENDING";
    await this.endings.get(spec.actor);
    const host = await this.pool.choose(spec, epoch);
    this.starting.set(spec.actor, { epoch, since: monotonicMs() });
    try {
      const worker = await host.up.catch((error: unknown) => {
        if (fresh && error instanceof RuntimeEnvError) throw error;
        throw new HostLost(error);
      });
      const { agent, node } = this.hooks;
      const alive = { kind: "alive", agent, node, process: worker, epoch, host: host.id } as const;
      const row = await this.writes.through(() => this.book.apply(spec.actor, alive, entry.revision));
      if (row === undefined) {
        this.unmade(host, spec, epoch);
        return false;
      }
      void this.start(host, worker, row, fresh);
      return true;
    } catch (error) {
      this.unmade(host, spec, epoch);
      if (!(error instanceof HostLost)) throw error;
      await this.afterLoss(entry, epoch, encodeError(error.cause));
      return true;
    }
  }

  /** The process for a claim ended before it could be used: that says nothing against the actor. */
  private async afterLoss(claim: ActorEntry, epoch: number, cause: WireError): Promise<void> {
    const { agent } = this.hooks;
    const row = await this.book.apply(claim.key, { kind: "lost", epoch, agent, cause }, claim.revision);
    if (row === undefined) return;
    if (row.value.state === "RESTARTING") this.hooks.place(row);
    else await this.hooks.ended(row.value.spec);
  }

  /** Never rejects: an actor whose constructor throws is dead, and its row says so. */
  private async start(
    host: HostProcess,
    worker: ProcessId,
    entry: ActorEntry,
    fresh: boolean,
  ): Promise<void> {
    const { spec, epoch } = entry.value;
    // It may have ended while its row was written.
    if (!host.usable) {
      this.begun(spec.actor, epoch);
      await this.lost(spec.actor, epoch, host);
      return;
    }
    if (!this.isNewest(spec.actor, epoch)) {
      this.unmade(host, spec, epoch);
      return;
    }
    try {
      const state = keepsState(spec) ? await this.beginState(worker, entry, fresh) : undefined;
      await this.hooks.start(host, worker, spec, epoch, state);
      this.begun(spec.actor, epoch);
      if (this.isNewest(spec.actor, epoch)) this.hooks.changed(spec.actor);
      else void this.end(host, worker, spec, epoch, "it was ended while it was made", false);
    } catch (thrown) {
      this.begun(spec.actor, epoch);
      // A process that died reports its exit, which decides about a restart; only what the constructor threw is final.
      if (!host.usable || thrown instanceof ConnectionError) return;
      this.forget(host, spec, epoch);
      if (this.isOver(spec)) return;
      await this.hooks
        .endActor(spec.actor, encodeError(thrown), epoch)
        .catch((error: unknown) => this.hooks.failed(`write down the end of ${describe(spec)}`, error));
    }
  }

  private async beginState(
    worker: ProcessId,
    { value }: ActorEntry,
    fresh: boolean,
  ): Promise<Uint8Array | undefined> {
    const { spec, epoch } = value;
    const inc: Incarnation = { spec, epoch, fresh, state: "alive", worker };
    this.saving.set(spec.actor, inc);
    return this.hooks.beginState(inc);
  }

  /** The incarnation of an actor here that has something to save. */
  find(actor: string): Incarnation | undefined {
    return this.saving.get(actor);
  }

  private forget(host: HostProcess, spec: Pick<ActorSpec, "actor" | "detached">, epoch: number): void {
    this.pool.left(host, spec, epoch);
    const inc = this.saving.get(spec.actor);
    if (inc?.epoch !== epoch) return;
    inc.state = "over";
    this.saving.delete(spec.actor);
  }

  private isNewest(actor: string, epoch: number): boolean {
    const row = this.book.get(actor)?.value;
    return row !== undefined && row.state === "ALIVE" && row.epoch === epoch;
  }

  /** What its watchers are told instead of what the row says; undefined: the row says it all. */
  viewOf({ value }: ActorEntry): ActorView | undefined {
    if (value.host === undefined || value.state !== "ALIVE") return undefined;
    const host = this.pool.get(value.host);
    if (host?.state.kind === "gone") {
      const { agent } = this.hooks;
      const { cause } = host.state;
      const after = nextActorRow(value, { kind: "lost", epoch: value.epoch, agent, cause });
      return after === undefined ? undefined : viewOf(after);
    }
    const starting = this.starting.get(value.spec.actor)?.epoch;
    if (starting !== value.epoch && starting !== 0) return undefined;
    return {
      actor: value.spec.actor,
      state: value.restarts > 0 ? "RESTARTING" : "PENDING",
      epoch: value.epoch,
    };
  }

  /** The row changed: an incarnation that is no longer the one meant ends. */
  rowChanged(actor: string, now: ActorEntry | undefined, before: ActorEntry | undefined): void {
    if (before?.value.host === undefined) return;
    const { spec, epoch } = before.value;
    const host = this.pool.get(before.value.host);
    if (host === undefined || host.actors.get(actor) !== epoch) return;
    if (now !== undefined && now.value.state === "ALIVE" && now.value.epoch === epoch) return;
    this.forget(host, spec, epoch);
    const { worker } = host;
    // Where the job is over, all of them are ended together.
    if (host.state.kind !== "up" || worker === undefined || this.isOver(spec)) return;
    const given = now?.value.cause?.detail?.["reason"];
    const inOrder = given === OUT_OF_SCOPE;
    const reason = typeof given === "string" ? given : "the actor ended";
    if (now === undefined || now.value.state === "DEAD") {
      void this.end(host, worker, spec, epoch, reason, inOrder);
      return;
    }
    const over = this.endBefore(host, worker, spec, epoch, reason).finally(
      () => this.endings.get(actor) === over && this.endings.delete(actor),
    );
    this.endings.set(actor, over);
  }

  /** There is to be another incarnation: where this one does not end in time, that one is not made beside it. */
  private async endBefore(
    host: HostProcess,
    worker: ProcessId,
    spec: ActorSpec,
    epoch: number,
    reason: string,
  ): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<boolean>((over) => {
      timer = setTimeout(() => over(false), END_MS + END_ANSWER_MS).unref();
    });
    const ended = await Promise.race([this.end(host, worker, spec, epoch, reason, false), late]);
    clearTimeout(timer);
    if (!ended) host.stuck.add(spec.actor);
  }

  /** False: calls of it still run. Never rejects. */
  private async end(
    host: HostProcess,
    worker: ProcessId,
    spec: ActorSpec,
    epoch: number,
    reason: string,
    inOrder: boolean,
  ): Promise<boolean> {
    try {
      const ask = { actor: spec.actor, epoch, reason, inOrder, deadlineMs: END_MS };
      const { running, error } = await this.hooks.end(worker, ask);
      if (error !== undefined) this.hooks.failed(`end ${describe(spec)} in order`, new Error(error));
      return running === 0;
    } catch (error) {
      if (host.usable && !this.stopped) this.hooks.failed(`end ${describe(spec)}`, error);
      return !host.usable;
    }
  }

  /** The actor ended by itself. Not restarted. False: no such one lives there. */
  async exited(
    worker: ProcessId,
    actor: string,
    epoch: number,
    error: WireError | undefined,
  ): Promise<boolean> {
    const host = this.pool.on(worker);
    const row = this.book.get(actor)?.value;
    if (host === undefined || row === undefined) return false;
    if (row.host !== host.id || row.epoch !== epoch) return true;
    const cause = error ?? encodeError(new ActorDiedError(`${describe(row.spec)} ended by itself`));
    await this.hooks.endActor(actor, cause, epoch);
    return true;
  }

  /** A process is gone, and with it all actors that lived there: written down a few at a time. */
  workerExited(worker: ProcessId, report: ExitReport): void {
    const size = this.pool.on(worker)?.actors.size ?? 0;
    const host = this.pool.gone(worker, crashOf(worker, size, report));
    if (host === undefined) return;
    this.allLost(host)
      .catch((error: unknown) => this.hooks.failed(`write down the end of the actors of ${worker}`, error))
      .finally(() => this.pool.forget(host));
  }

  private async allLost(host: HostProcess): Promise<void> {
    const left = [...host.actors.keys()];
    const next = async (): Promise<void> => {
      for (let actor = left.pop(); actor !== undefined; actor = left.pop()) {
        if (this.stopped) return;
        const row = this.book.get(actor)?.value;
        if (row === undefined || row.host !== host.id || row.state !== "ALIVE") continue;
        if (this.isOver(row.spec)) continue;
        await this.lost(actor, row.epoch, host);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, next));
    host.actors.clear();
  }

  private async lost(actor: string, epoch: number, host: HostProcess): Promise<void> {
    if (host.state.kind !== "gone") return;
    const { agent } = this.hooks;
    const entry = await this.book.apply(actor, { kind: "lost", epoch, agent, cause: host.state.cause });
    if (entry === undefined) return;
    if (entry.value.state === "RESTARTING") this.hooks.place(entry);
    else await this.hooks.ended(entry.value.spec);
  }

  /** Has the incarnation that lives here end at once, to be made again if it may. False: it does not live here. */
  async restart(entry: ActorEntry, reason: string): Promise<boolean> {
    const { spec, epoch, host: id, state } = entry.value;
    const host = this.pool.get(id);
    if (host === undefined || state !== "ALIVE") return false;
    const cause = encodeError(
      new ActorDiedError(`${describe(spec)} was killed: ${reason}`, { detail: { reason } }),
    );
    const { agent } = this.hooks;
    const row = await this.book.apply(spec.actor, { kind: "lost", epoch, agent, cause });
    if (row === undefined) return true;
    if (row.value.state === "RESTARTING") this.hooks.place(row);
    else await this.hooks.ended(spec);
    return true;
  }

  /** One that lives here, or is being made. */
  hosted(actor: string): Pick<Incarnation, "state" | "worker"> | undefined {
    const row = this.book.get(actor)?.value;
    const host = this.pool.get(row?.host);
    if (host === undefined || !host.actors.has(actor)) return undefined;
    const { worker } = host;
    return { state: this.starting.has(actor) ? "starting" : "alive", ...(worker && { worker }) };
  }

  /** Those that live here, for a node that is drained. */
  *incarnations(): Generator<Incarnation> {
    for (const { worker, actors, state } of this.pool.all()) {
      if (state.kind !== "up" || worker === undefined) continue;
      for (const actor of actors.keys()) {
        const row = this.book.get(actor)?.value;
        if (row?.state !== "ALIVE") continue;
        const { spec, epoch } = row;
        yield { spec, epoch, fresh: false, state: this.starting.has(actor) ? "starting" : "alive", worker };
      }
    }
  }

  /**
   * The node is drained: it takes no more calls, ends in order within `deadlineMs`, and is made again on another node, or,
   * without `again`, is dead. One that does not end in time goes on beside its next incarnation until the process ends.
   */
  async leave({ spec, epoch, worker }: Incarnation, o: LeaveOptions): Promise<LeaveOutcome> {
    if (worker === undefined) return "over";
    const ask = {
      actor: spec.actor,
      epoch,
      reason: o.reason,
      inOrder: true,
      deadlineMs: Math.ceil(o.deadlineMs),
    };
    const ended = this.hooks.end(worker, ask).catch((error: unknown) => {
      this.hooks.failed(`have ${describe(spec)} end in order`, error);
    });
    await Promise.race([ended, aborted(o.late)]);
    const { agent, node } = this.hooks;
    const where = `its node ${node} was drained (${o.reason})`;
    if (!o.again) {
      const why = new ActorDiedError(
        `${describe(spec)} ended: ${where}, and it may not be made again elsewhere`,
      );
      await this.hooks.endActor(spec.actor, why);
      return "ended";
    }
    const cause = encodeError(new ActorDiedError(`${describe(spec)} moves: ${where}`));
    const row = await this.book.apply(spec.actor, { kind: "moved", epoch, agent, cause });
    if (row === undefined) return "over";
    this.hooks.place(row);
    return "moved";
  }

  /** Whether actors live there that outlive their job. */
  isNeeded(worker: ProcessId): boolean {
    return (this.pool.on(worker)?.detached ?? 0) > 0;
  }

  /** The processes whose actors end with the job and have an `onDeactivate` to be run before. */
  toDeactivate(job: string): ProcessId[] {
    const found: ProcessId[] = [];
    for (const host of this.pool.all()) {
      const { worker } = host;
      if (host.job === job && host.deactivates && host.detached === 0 && worker !== undefined)
        found.push(worker);
    }
    return found;
  }

  /** The job is over: its actors here end with their processes and do not come back. */
  forgetJob(job: string): void {
    const now = monotonicMs();
    for (const [other, since] of this.overJobs) if (now - since > OVER_MS) this.overJobs.delete(other);
    this.overJobs.set(job, now);
  }

  /**
   * Has the actors of an ended job end in order that live beside such as outlive it; the others end with their processes.
   * Resolves when they have. Never rejects.
   */
  async endJob(job: string, deadlineMs: number): Promise<void> {
    const hosts = [...this.pool.all()].filter((host) => host.job === job && host.detached > 0);
    await Promise.all(
      hosts.map(async (host) => {
        const { worker } = host;
        const mine = [...host.actors.keys()].filter(
          (actor) => this.book.get(actor)?.value.spec.detached !== true,
        );
        if (mine.length === 0) return;
        this.pool.allLeft(host, mine);
        for (const actor of mine) this.saving.delete(actor);
        if (host.state.kind !== "up" || worker === undefined) return;
        await this.hooks.endJob(worker, { reason: "job-ended", deadlineMs }).catch((error: unknown) => {
          if (host.usable) this.hooks.failed(`end the actors of job ${job} in process ${worker}`, error);
        });
      }),
    );
  }

  /** The node leaves: the actors here are no longer its business. */
  stop(): void {
    this.stopped = true;
    this.pool.stop();
  }
}

/** Its process, where it is up now or soon. */
async function upSoon(host: HostProcess): Promise<ProcessId | undefined> {
  if (host.state.kind === "up") return host.state.worker;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((over) => {
    timer = setTimeout(() => over(undefined), UP_SOON_MS).unref();
  });
  try {
    return await Promise.race([host.up, late]);
  } finally {
    clearTimeout(timer);
  }
}
