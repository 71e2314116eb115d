/** A submitter that has tasks to run, leases workers for them, and gives them back when asked or idle. */
import { newDriverId, type JobId, type ProcessId, type Shape, type StingrayError } from "@stingray/protocol";
import type { Grant, SimNode, World } from "./world.js";

interface HeldLease {
  readonly grant: Grant;
  revoked: boolean;
  running: boolean;
  used: boolean;
}

/** One shape of tasks of a submitter; `taskMs` is how long a task runs. */
export class Submitter {
  readonly key = "k";
  readonly leases = new Map<string, HeldLease>();
  /** Leases that were announced and not granted yet. */
  readonly coming = new Set<string>();
  /** How many tasks each node ran. */
  readonly ran = new Map<SimNode, number>();
  todo = 0;
  done = 0;
  submitted = 0;
  failures: StingrayError[] = [];
  /** How often a node other than its own could not start workers. */
  failedThere = 0;
  /** What the user should hear of. */
  reasons: string[] = [];
  /** What is there for those who ask. */
  notes: string[] = [];
  mostLeases = 0;
  gone = false;
  /** Called instead of just waiting `taskMs`; calls back when the task is done. */
  work: ((grant: Grant, done: () => void) => void) | undefined;
  readonly #granted = new Set<string>();
  #told = 0;
  #lost = 0;

  constructor(
    readonly world: World,
    readonly home: SimNode,
    readonly job: JobId,
    readonly shape: Shape,
    readonly taskMs: number,
    readonly id: ProcessId = newDriverId(),
  ) {
    world.listeners.set(id, {
      granted: (g) => this.#grant(g),
      coming: (lease, coming, promised) => {
        if (promised && !coming) {
          this.#lost++;
          this.demand();
        }
        // A grant may overtake its announcement.
        if (coming && !this.#granted.has(lease)) this.coming.add(lease);
        if (coming || !this.coming.delete(lease)) return;
        this.#wake();
      },
      revoked: (lease) => {
        const held = this.leases.get(lease);
        if (held === undefined) return;
        held.revoked = true;
        if (!held.running) this.#giveBack(held);
      },
      failed: (_key, error, part) => {
        if (part === undefined) {
          this.failures.push(error);
          this.todo = 0;
          return;
        }
        this.failedThere++;
        this.#lost += part;
        this.demand();
      },
      pending: (_key, reason, notice) => (notice === "note" ? this.notes : this.reasons).push(reason),
      lost: (lease) => this.lose(lease),
    });
  }

  /** The lease is lost with its worker: its task runs again. */
  lose(lease: string): void {
    const held = this.leases.get(lease);
    if (held === undefined) return;
    this.leases.delete(lease);
    if (held.running) this.todo++;
    this.demand();
  }

  submit(count: number): void {
    this.todo += count;
    this.submitted += count;
    this.demand();
  }

  /** Says how many more leases it could use. */
  demand(): void {
    if (this.gone) return;
    const { id, job, key, shape } = this;
    this.#told = this.todo;
    const want = this.todo;
    const got = this.#granted.size + this.#lost;
    this.world.send(() => {
      if (this.home.alive && !this.gone) {
        this.home.scheduler.demand({
          submitter: id,
          submitterNode: this.home.node,
          job,
          key,
          shape,
          want,
          got,
        });
      }
    });
  }

  /** What its agent does when it sees that the process has ended. */
  die(): void {
    this.gone = true;
    this.todo = 0;
    this.world.listeners.delete(this.id);
    for (const node of this.world.nodes) if (node.alive) node.scheduler.submitterGone(this.id);
  }

  #grant(grant: Grant): void {
    this.#granted.add(grant.lease);
    this.coming.delete(grant.lease);
    const held = { grant, revoked: false, running: false, used: false };
    this.leases.set(grant.lease, held);
    this.mostLeases = Math.max(this.mostLeases, this.leases.size);
    this.#told = Math.max(0, this.#told - 1);
    this.#next(held);
    this.#wake();
  }

  /** Looks again at workers that left tasks for others. */
  #wake(): void {
    for (const held of [...this.leases.values()]) if (!held.running) this.#next(held);
  }

  #next(held: HeldLease): void {
    if (this.gone) return;
    if (held.revoked || this.todo === 0) {
      this.#giveBack(held);
      return;
    }
    // As real submitters do: who was there first leaves a task for each lease that was announced.
    if (held.used && this.todo <= this.coming.size) return;
    this.todo--;
    held.running = true;
    held.used = true;
    // The level is right again when it says so; it does so when it is off by much, as real submitters do.
    if (this.todo === 0 && this.#told > 0) this.demand();
    const done = (): void => {
      if (this.leases.get(held.grant.lease) !== held) return;
      held.running = false;
      this.done++;
      this.ran.set(held.grant.node, (this.ran.get(held.grant.node) ?? 0) + 1);
      this.#next(held);
    };
    if (this.work === undefined) this.world.clock.defer(this.taskMs, done);
    else this.work(held.grant, done);
  }

  #giveBack(held: HeldLease): void {
    this.leases.delete(held.grant.lease);
    const { node, lease } = held.grant;
    this.world.send(() => {
      if (node.alive) node.scheduler.returned(lease, true);
    });
    if (this.todo > 0) this.demand();
  }
}
