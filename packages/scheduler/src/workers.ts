/** Which worker carries which leases, and which may carry one more. */
import type { ProcessId, Shape } from "@stingray/protocol";
import type { Ask } from "./ask.js";
import type { Lease } from "./lease-book.js";
import type { WorkerFate } from "./types.js";

interface Carrier {
  readonly worker: ProcessId;
  readonly env: string;
  readonly leases: Set<Lease>;
  /** A worker of an actor: for nobody else. */
  readonly reserved: boolean;
  /** Others may be given it. */
  usable: boolean;
  /** A holder said that it is of no use any more. */
  broken: boolean;
  /** It has GPUs, which its process remembers: nobody may join it. */
  gpus: boolean;
  /** It runs what should have a process of its own: others join it only as a last resort. */
  alone: boolean;
}

/** Whether tasks of this shape should have a process of their own: one may be ended for them, or they must not end with it. */
export function wantsAlone(shape: Shape): boolean {
  return shape.alone === true || shape.maxCalls !== undefined;
}

/** How many ended workers are remembered, for those that end before the agent's answer arrives. */
const REMEMBERED = 1024;

/** The workers that carry leases, and what is known of idle ones. */
export class WorkerBook {
  readonly #carriers = new Map<ProcessId, Carrier>();
  readonly #idle = new Map<string, Set<ProcessId>>();
  readonly #exited = new Set<ProcessId>();

  /** The lease is carried by the worker from now on. */
  attach(worker: ProcessId, lease: Lease): void {
    const alone = wantsAlone(lease.ask.shape);
    const gpus = lease.allocation.gpus.length > 0;
    const carrier = this.#carriers.get(worker);
    this.#forgetIdle(worker);
    if (carrier === undefined) {
      const reserved = lease.ask.kind === "reserve";
      const { env } = lease.ask;
      const leases = new Set([lease]);
      this.#carriers.set(worker, { worker, env, leases, reserved, usable: true, broken: false, gpus, alone });
    } else {
      carrier.leases.add(lease);
      carrier.gpus ||= gpus;
      carrier.alone ||= alone;
    }
  }

  /** The lease is over. Tells whether the worker is free now, and what is to become of it. */
  detach(worker: ProcessId, lease: Lease, usable: boolean): { free: boolean; fate: WorkerFate } {
    const carrier = this.#carriers.get(worker);
    if (carrier === undefined || !carrier.leases.delete(lease)) return { free: false, fate: "end" };
    carrier.broken ||= !usable;
    carrier.usable &&= usable;
    if (carrier.leases.size > 0) return { free: false, fate: carrier.usable ? "reuse" : "end" };
    this.#carriers.delete(worker);
    if (carrier.broken) return { free: true, fate: "end" };
    // GPUs are bound to a process when it first uses them, and so is their memory.
    if (!carrier.usable || carrier.gpus) return { free: true, fate: "retire" };
    this.noteIdle(worker, carrier.env);
    return { free: true, fate: "reuse" };
  }

  /** The agent has this worker idle for the environment, as far as is known here. */
  noteIdle(worker: ProcessId, env: string): void {
    const idle = this.#idle.get(env);
    if (idle === undefined) this.#idle.set(env, new Set([worker]));
    else idle.add(worker);
  }

  /** True if the agent should have an idle worker for it; that one is counted as taken. */
  takeIdle(env: string): boolean {
    const worker = this.#idle.get(env)?.values().next().value;
    if (worker === undefined) return false;
    this.#forgetIdle(worker);
    return true;
  }

  hasIdle(env: string): boolean {
    return this.#idle.has(env);
  }

  /**
   * A worker all of whose leases are blocked, so that its process has nothing to do: it may carry another lease of
   * the same job and environment. The one with the fewest leases; those that want to be alone only with `evenAlone`,
   * and then after the others. Only leases of the same placement group, or of none, share a process: it ends with the
   * group.
   */
  blockedCarrier({ env, group }: Pick<Ask, "env" | "group">, evenAlone: boolean): ProcessId | undefined {
    let best: Carrier | undefined;
    for (const carrier of this.#carriers.values()) {
      if (carrier.env !== env || carrier.reserved || carrier.gpus || !carrier.usable) continue;
      if ((carrier.alone && !evenAlone) || !isBlocked(carrier) || groupOf(carrier) !== group) continue;
      if (best === undefined || isBetter(carrier, best)) best = carrier;
    }
    return best?.worker;
  }

  /** The worker is to end when its leases are over, which are returned; nobody is given it any more. */
  retire(worker: ProcessId): Lease[] {
    this.#forgetIdle(worker);
    const carrier = this.#carriers.get(worker);
    if (carrier === undefined) return [];
    carrier.usable = false;
    return [...carrier.leases];
  }

  /** The worker's process has ended. Returns the leases that it carried. */
  exited(worker: ProcessId): Lease[] {
    this.#exited.add(worker);
    for (const oldest of this.#exited) {
      if (this.#exited.size <= REMEMBERED) break;
      this.#exited.delete(oldest);
    }
    this.#forgetIdle(worker);
    const leases = [...(this.#carriers.get(worker)?.leases ?? [])];
    this.#carriers.delete(worker);
    return leases;
  }

  hasExited(worker: ProcessId): boolean {
    return this.#exited.has(worker);
  }

  /** Workers by what they do. `blocked`: all their leases are. */
  count(): { busy: number; blocked: number; reserved: number } {
    const count = { busy: 0, blocked: 0, reserved: 0 };
    for (const carrier of this.#carriers.values()) {
      if (carrier.reserved) count.reserved++;
      else if (isBlocked(carrier)) count.blocked++;
      else count.busy++;
    }
    return count;
  }

  #forgetIdle(worker: ProcessId): void {
    for (const [env, idle] of this.#idle) {
      if (idle.delete(worker) && idle.size === 0) this.#idle.delete(env);
    }
  }
}

const isBetter = (a: Carrier, b: Carrier): boolean =>
  a.alone === b.alone ? a.leases.size < b.leases.size : b.alone;

/** The placement group that its leases are bound to; all of them, or none is. */
function groupOf({ leases }: Carrier): string | undefined {
  for (const { ask } of leases) return ask.group;
  return undefined;
}

function isBlocked(carrier: Carrier): boolean {
  for (const lease of carrier.leases) if (lease.state.name !== "blocked") return false;
  return true;
}
