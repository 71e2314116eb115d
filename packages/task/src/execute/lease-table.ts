/** The leases under which others may run tasks in this process, as its agent assigned them. */
import { Op } from "@stingray/protocol";
import type { Home } from "../home.js";
import type { DefinitionKey, RemoteDefinition } from "../registry.js";
import type { IncomingCall } from "./call.js";

/** Leases that a worker remembers. */
const MAX_LEASES = 1_000;
/** A task whose lease the agent has not announced is sent back after this. Milliseconds. */
const ASSIGN_WAIT_MS = 10_000;

/** What a lease gives. */
export interface LeaseTerms {
  readonly resources: Record<string, number>;
  readonly gpus: readonly number[];
  /** CUDA_VISIBLE_DEVICES; undefined: as it is. */
  readonly visible: string | undefined;
}

export interface LeaseState extends LeaseTerms {
  queued: number;
  active: number;
  waiting: number;
  /** The agent was told that all of it waits. */
  told: boolean;
}

export type Loaded = { readonly key: DefinitionKey; definition: RemoteDefinition | undefined };
/** A task that was not begun. */
export type Unbegun = readonly [call: IncomingCall, loaded: Loaded];

interface Held {
  calls: Unbegun[];
  readonly timer: NodeJS.Timeout;
}

export class LeaseTable {
  private readonly leases = new Map<string, LeaseState>();
  private readonly unassigned = new Map<string, Held>();

  /**
   * @param drop sends a task back
   * @param waitMs how long tasks wait for their lease to be assigned, in milliseconds
   */
  constructor(
    private readonly home: () => Home,
    private readonly drop: (call: IncomingCall) => void,
    private readonly waitMs = ASSIGN_WAIT_MS,
  ) {}

  get(id: string): LeaseState | undefined {
    return this.leases.get(id);
  }

  /** Returns the tasks that came before. */
  assigned(id: string, { resources, gpus, visible }: LeaseTerms): readonly Unbegun[] {
    this.forgetOld();
    this.leases.set(id, { resources, gpus, visible, queued: 0, active: 0, waiting: 0, told: false });
    const held = this.unassigned.get(id);
    if (held === undefined) return [];
    clearTimeout(held.timer);
    this.unassigned.delete(id);
    return held.calls;
  }

  /** Nobody tells a worker that a lease is over; those without work go, oldest first, when there are many. */
  private forgetOld(): void {
    if (this.leases.size < MAX_LEASES) return;
    for (const [id, lease] of this.leases) {
      if (lease.queued + lease.active + lease.waiting > 0) continue;
      this.leases.delete(id);
      if (this.leases.size < MAX_LEASES / 2) return;
    }
  }

  /** The agent's announcement of a lease and the submitter's first task come on different channels. */
  hold(unbegun: Unbegun): void {
    const { lease } = unbegun[0];
    const held = this.unassigned.get(lease);
    if (held !== undefined) held.calls.push(unbegun);
    else {
      const timer = setTimeout(() => {
        const late = this.unassigned.get(lease)?.calls ?? [];
        this.unassigned.delete(lease);
        for (const [call] of late) this.drop(call);
      }, this.waitMs).unref();
      this.unassigned.set(lease, { calls: [unbegun], timer });
    }
  }

  /** Tasks that wait for their lease to be assigned; they are held no more. */
  takeHeld(which: (call: IncomingCall) => boolean): IncomingCall[] {
    const taken: IncomingCall[] = [];
    for (const [id, held] of this.unassigned) {
      const left: Unbegun[] = [];
      for (const unbegun of held.calls) {
        if (which(unbegun[0])) taken.push(unbegun[0]);
        else left.push(unbegun);
      }
      held.calls = left;
      if (left.length > 0) continue;
      clearTimeout(held.timer);
      this.unassigned.delete(id);
    }
    return taken;
  }

  /** Where all tasks of a lease wait, what it has of the processor is for others. */
  tellIfBlocked(id: string, lease: LeaseState): void {
    if (lease.told || lease.active > 0 || lease.queued > 0 || lease.waiting === 0) return;
    lease.told = true;
    this.home().send([Op.WorkerBlocked, id]);
  }

  /** One of its tasks goes on. */
  tellResumed(id: string, lease: LeaseState): void {
    if (!lease.told) return;
    lease.told = false;
    this.home().send([Op.WorkerUnblocked, id]);
  }
}
