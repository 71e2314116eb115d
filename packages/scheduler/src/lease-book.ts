/** The leases of a node: reserved, given a worker, granted, ended. */
import { RuntimeEnvError, StingrayError, WorkerCrashedError, toError } from "@stingray/protocol";
import type { JobId, NodeId, ProcessId } from "@stingray/protocol";
import type { Allocation } from "./account.js";
import type { Ask } from "./ask.js";
import { crowded, joinable, type Crowd } from "./crowd.js";
import { EndingWorkers } from "./ending.js";
import { nextLeaseState, type LeaseEnd, type LeaseEvent, type LeaseState } from "./lease-state.js";
import { Shares, shareOf } from "./shares.js";
import type { LeaseEffects, LeaseLimits } from "./types.js";
import { WorkerBook } from "./workers.js";

/** One lease. Only the book changes it. */
export interface Lease {
  readonly id: string;
  readonly job: JobId;
  readonly ask: Ask;
  readonly allocation: Allocation;
  /** What it takes of the node, see `shareOf`. */
  readonly share: number;
  state: LeaseState;
  worker: ProcessId | undefined;
  /** How many workers came dead. */
  deadWorkers: number;
}

/** So many workers in a row may end between being found and being granted. */
const MAX_DEAD_WORKERS = 3;

/** Keeps resources, workers and leases in step. `onFree` is called when something may have become free. */
export class LeaseBook {
  readonly workers = new WorkerBook();
  readonly ending = new EndingWorkers();
  /** The node is about to go: a worker that does not come up any more is no fault of those who wait for it. */
  leaving = false;
  /** Of leases that are not blocked; reservations don't count. */
  readonly shares = new Shares();
  readonly #leases = new Map<string, Lease>();
  readonly #waiting = new Set<Lease>();
  #starting = 0;
  #sequence = 0;

  constructor(
    private readonly node: NodeId,
    private readonly effects: LeaseEffects,
    private readonly limits: LeaseLimits,
    private readonly onFree: () => void,
  ) {}

  get(id: string): Lease | undefined {
    return this.#leases.get(id);
  }

  all(): IterableIterator<Lease> {
    return this.#leases.values();
  }

  /** Is there a lease that could be asked back? */
  hasHeld(): boolean {
    for (const lease of this.#leases.values()) {
      if (lease.state.name === "held" && lease.ask.kind !== "reserve") return true;
    }
    return false;
  }

  /** Workers being found or started. */
  get starting(): number {
    return this.#starting;
  }

  /** Why no worker may be added for this ask now; undefined if one may. */
  crowded(ask: Ask): string | undefined {
    return crowded(ask, this.#crowd());
  }

  /** Begins a lease on resources that were just acquired for it. Returns its id. */
  begin(ask: Ask, allocation: Allocation): string {
    const id = `${this.node}.${++this.#sequence}`;
    const lease: Lease = {
      id,
      job: ask.job,
      ask,
      allocation,
      share: shareOf(ask.need, allocation.account.whole),
      state: { name: "queued" },
      worker: undefined,
      deadWorkers: 0,
    };
    this.#leases.set(id, lease);
    this.#count(lease, 1);
    ask.starting++;
    ask.owner.coming?.(id, true);
    const carrier = joinable(ask, this.#crowd());
    if (carrier !== undefined) {
      this.#grant(lease, carrier);
      return id;
    }
    this.#waiting.add(lease);
    this.#startNext();
    return id;
  }

  /** Ends leases of an ask that were not granted yet, so that at most `keep` are left. */
  trim(ask: Ask, keep: number): void {
    if (ask.starting <= keep) return;
    const early = [...this.#leases.values()].filter(
      (lease) => lease.ask === ask && (lease.state.name === "queued" || lease.state.name === "starting"),
    );
    early.sort((a, b) => Number(b.state.name === "queued") - Number(a.state.name === "queued"));
    for (const lease of early) {
      if (ask.starting <= keep) break;
      this.end(lease, "withdrawn", true);
    }
  }

  /** Ends a lease in any state, once. `usable`: its worker may serve others. */
  end(lease: Lease, how: LeaseEnd, usable: boolean): boolean {
    const before = lease.state.name;
    if (!this.#change(lease, { on: "end", how })) return false;
    if (before !== "blocked") this.#count(lease, -1);
    this.#leases.delete(lease.id);
    this.#waiting.delete(lease);
    if (before === "queued" || before === "starting") {
      lease.ask.starting--;
      if (how !== "gone") lease.ask.owner.coming?.(lease.id, false);
    }
    this.#leave(lease, how, usable);
    this.#startNext();
    this.onFree();
    return true;
  }

  block(lease: Lease): void {
    if (!this.#change(lease, { on: "block" })) return;
    this.#count(lease, -1);
    lease.allocation.account.yieldCpu(lease.allocation);
    this.onFree();
  }

  unblock(lease: Lease): void {
    if (!this.#change(lease, { on: "unblock" })) return;
    this.#count(lease, 1);
    lease.allocation.account.resumeCpu(lease.allocation);
  }

  /** Resources became free in another way than by the end of a lease. */
  freed(): void {
    this.onFree();
  }

  /** The worker ends when its leases are over: their holders are asked for them, and nobody is given it any more. */
  retire(worker: ProcessId): void {
    for (const lease of this.workers.retire(worker)) this.revoke(lease);
  }

  /** Asks the holder to return it. */
  revoke(lease: Lease): void {
    const { process } = lease.ask;
    if (process !== undefined && this.#change(lease, { on: "revoke" }))
      this.effects.revoke(process, lease.id);
  }

  /** As `revoke`; what was asked for here and has no worker yet ends at once, and waits again. */
  takeBack(lease: Lease): void {
    const early = lease.state.name === "queued" || lease.state.name === "starting";
    if (!early) this.revoke(lease);
    // An offer was promised to another node: it is granted, and then asked back.
    else if (lease.ask.kind === "demand") this.end(lease, "withdrawn", true);
  }

  /** The process of a worker is gone. Returns the leases that it carried. */
  exited(worker: ProcessId): Lease[] {
    this.ending.release(worker);
    return this.workers.exited(worker);
  }

  /** It can't end yet, since others need what it owns: its GPUs are not kept for so long. */
  kept(worker: ProcessId): void {
    if (this.ending.release(worker)) this.onFree();
  }

  /** Gives back what it had; where its worker goes on with that until it is gone, then. */
  #leave(lease: Lease, how: LeaseEnd, usable: boolean): void {
    const { worker, allocation } = lease;
    const after =
      worker === undefined || how === "lost" ? undefined : this.workers.detach(worker, lease, usable);
    if (worker === undefined || after?.free !== true) {
      allocation.account.release(allocation);
      if (worker !== undefined && after !== undefined && after.fate !== "reuse") this.retire(worker);
      return;
    }
    const fate = how === "gone" ? "kill" : after.fate;
    // Others that were told to end compute no more, or stay for their objects.
    if (fate === "kill" || allocation.gpus.length > 0) this.ending.hold(worker, allocation);
    else allocation.account.release(allocation);
    this.effects.releaseWorker(worker, fate);
  }

  #crowd(): Crowd {
    const { workers, limits } = this;
    const kept = this.effects.keptWorkers?.() ?? 0;
    return { workers, limits, coming: this.#starting + this.#waiting.size, kept };
  }

  #startNext(): void {
    for (const lease of this.#waiting) {
      const idle = this.workers.takeIdle(lease.ask.env);
      if (!idle && this.#starting >= this.limits.maxStarting) continue;
      this.#waiting.delete(lease);
      this.#change(lease, { on: "start" });
      void this.#acquire(lease, !idle);
    }
  }

  async #acquire(lease: Lease, counted: boolean): Promise<void> {
    if (counted) this.#starting++;
    try {
      const { job, shape } = lease.ask;
      const worker = await this.effects.acquireWorker({ job, shape });
      if (counted) this.#starting--;
      counted = false;
      this.#arrived(lease, worker);
    } catch (thrown) {
      if (counted) this.#starting--;
      this.#failed(lease, thrown);
    }
    this.#startNext();
    this.onFree();
  }

  #arrived(lease: Lease, worker: ProcessId): void {
    if (this.workers.hasExited(worker)) {
      // Its end was reported before it had a lease, so nobody else would ever be told.
      if (lease.state.name === "ended") return;
      if (++lease.deadWorkers >= MAX_DEAD_WORKERS) {
        this.#failed(
          lease,
          new WorkerCrashedError(
            `${MAX_DEAD_WORKERS} workers in a row ended before their first task; read the log of the workers of job ${lease.job}`,
          ),
        );
      } else if (this.#change(lease, { on: "requeue" })) {
        this.#waiting.add(lease);
      }
      return;
    }
    if (lease.state.name === "ended" || lease.ask.closed || lease.ask.want <= 0) {
      this.workers.noteIdle(worker, lease.ask.env);
      this.effects.releaseWorker(worker, "reuse");
      this.end(lease, "withdrawn", true);
      return;
    }
    this.#grant(lease, worker);
  }

  #grant(lease: Lease, worker: ProcessId): void {
    if (!this.#change(lease, { on: "grant", at: this.effects.now() })) return;
    const { ask } = lease;
    lease.worker = worker;
    this.workers.attach(worker, lease);
    ask.starting--;
    ask.granted(this.effects.now());
    ask.owner.granted(lease);
  }

  #failed(lease: Lease, thrown: unknown): void {
    const cause = toError(thrown);
    const error =
      cause instanceof StingrayError
        ? cause
        : new RuntimeEnvError(
            `no worker could be started for job ${lease.job}: ${cause.message}; read the log of the node agent`,
            { cause },
          );
    if (lease.state.name === "ended") return;
    // First the ask, so that what becomes free is not used to try the same again.
    if (!lease.ask.closed && (!this.leaving || lease.ask.kind === "reserve")) lease.ask.owner.failed(error);
    this.end(lease, "failed", true);
  }

  #count({ ask, share }: Lease, sign: 1 | -1): void {
    // What runs in a bundle takes nothing of what others could have.
    if (ask.kind !== "reserve" && !ask.bound) this.shares.change(ask, share, sign);
  }

  #change(lease: Lease, event: LeaseEvent): boolean {
    const next = nextLeaseState(lease.state, event);
    if (next === undefined) return false;
    lease.state = next;
    return true;
  }
}
