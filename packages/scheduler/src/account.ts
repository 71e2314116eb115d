/** What one node has, and who holds how much of it. */
import { InvalidArgumentError, InvalidOptionError } from "@stingray/protocol";
import { Resources, toUnits, UNITS } from "./amounts.js";
import { GpuPool, type GpuGrant } from "./gpus.js";
import { Room } from "./room.js";

const CPU = "CPU";
const GPU = "GPU";

/** Resources that were taken from an account. Give it back with `release`, exactly once. */
export interface Allocation {
  /** In the user's units. */
  readonly resources: Record<string, number>;
  /** Numbers of the GPUs, ascending. */
  readonly gpus: readonly number[];
  /** What it was taken from, and goes back to. */
  readonly account: ResourceAccount;
  /** True while its CPUs are lent to others. */
  readonly cpuYielded: boolean;
}

class Held implements Allocation {
  amounts: Resources;
  grant: GpuGrant;
  cpuYielded = false;

  constructor(
    readonly account: ResourceAccount,
    amounts: Resources,
    grant: GpuGrant,
  ) {
    this.amounts = amounts;
    this.grant = grant;
  }

  get resources(): Record<string, number> {
    return this.amounts.toRecord();
  }

  get gpus(): readonly number[] {
    return this.grant.devices;
  }
}

/** The resources of one node. Pure bookkeeping; GPUs are numbered, see {@link GpuPool}. */
export class ResourceAccount {
  #total: Resources;
  /** Without GPUs. Below zero for a moment when yielded CPUs are resumed. */
  #free: Resources;
  readonly #gpus: GpuPool;
  readonly #held = new Set<Held>();

  /**
   * @param gpus the devices. Default: as many as there are, from 0
   * @throws InvalidOptionError for bad amounts, and when the number of GPUs is not whole and no devices are given
   */
  constructor(total: Record<string, number>, gpus?: GpuPool) {
    this.#total = Resources.from(total);
    this.#gpus = gpus ?? new GpuPool(wholeGpus(this.#total.units(GPU)));
    this.#free = withoutGpus(this.#total);
  }

  /** All that the node has, for calculating. */
  get whole(): Resources {
    return this.#total;
  }

  /** Whether anything was taken that is not back. */
  get inUse(): boolean {
    return this.#held.size > 0;
  }

  /** In the user's units. */
  get total(): Record<string, number> {
    return this.#total.toRecord();
  }

  /** In the user's units, with a zero for what is used up; never below zero. */
  get available(): Record<string, number> {
    const free: Record<string, number> = {};
    for (const name of this.#total.names()) {
      const units = name === GPU ? this.#gpus.free : this.#free.units(name);
      free[name] = Math.max(0, units) / UNITS;
    }
    return free;
  }

  /** As `available`, for calculating; overcommitted CPUs count below zero. */
  get free(): Resources {
    const gpus: [string, number][] = [[GPU, this.#gpus.free]];
    return Resources.ofUnits([...this.#free.entries(), ...gpus]);
  }

  /** Whether `acquire` would succeed now. */
  canAcquire(amounts: Resources): boolean {
    return this.#free.fits(withoutGpus(amounts)) && this.#gpus.has(amounts.units(GPU));
  }

  /** What is free now, to try out what would fit if more were. */
  room(): Room {
    return new Room(this.#free, this.#gpus.copy());
  }

  /** Takes what is asked for, or nothing and undefined when it can't be had now. @throws InvalidOptionError for bad amounts. */
  acquire(request: Record<string, number> | Resources): Allocation | undefined {
    const amounts = request instanceof Resources ? request : Resources.from(request);
    const plain = withoutGpus(amounts);
    if (!this.#free.fits(plain)) return undefined;
    const grant = this.#gpus.acquire(amounts.units(GPU));
    if (grant === undefined) return undefined;
    this.#free = this.#free.subtract(plain);
    const held = new Held(this, amounts, grant);
    this.#held.add(held);
    return held;
  }

  /** Gives everything back. False, and nothing happens, when it was given back before or is of another account. */
  release(allocation: Allocation): boolean {
    const held = this.#find(allocation);
    if (held === undefined) return false;
    this.#held.delete(held);
    const back = withoutGpus(held.amounts);
    this.#free = this.#free.add(held.cpuYielded ? back.subtract(cpusOf(back)) : back);
    this.#gpus.release(held.grant);
    return true;
  }

  /** Lends the CPUs of an allocation to others until `resumeCpu`. A second time changes nothing. */
  yieldCpu(allocation: Allocation): void {
    const held = this.#find(allocation);
    if (held === undefined || held.cpuYielded) return;
    held.cpuYielded = true;
    this.#free = this.#free.add(cpusOf(held.amounts));
  }

  /** Takes lent CPUs back at once, even if others have them now: then free CPUs are below zero until they return. */
  resumeCpu(allocation: Allocation): void {
    const held = this.#find(allocation);
    if (held === undefined || !held.cpuYielded) return;
    held.cpuYielded = false;
    this.#free = this.#free.subtract(cpusOf(held.amounts));
  }

  /**
   * Keeps only `resources` of an allocation and gives the rest back.
   * @throws InvalidArgumentError when that would be more than it has, or part of a GPU that was taken whole.
   */
  shrink(allocation: Allocation, resources: Record<string, number> | Resources): void {
    const held = this.#find(allocation);
    if (held === undefined) return;
    const after = resources instanceof Resources ? resources : Resources.from(resources);
    const gpus = after.units(GPU);
    const same = gpus === held.amounts.units(GPU);
    if (!held.amounts.fits(after) || !(same || gpus === 0 || gpus % UNITS === 0)) {
      throw new InvalidArgumentError(
        `an allocation of ${held.amounts.toString()} can't be cut to ${after.toString()}; release it and acquire that instead`,
      );
    }
    const back = withoutGpus(held.amounts.subtract(after));
    this.#free = this.#free.add(held.cpuYielded ? back.subtract(cpusOf(back)) : back);
    if (!same) {
      const kept = gpus / UNITS;
      this.#gpus.release({ devices: held.grant.devices.slice(kept), each: held.grant.each });
      held.grant = { devices: held.grant.devices.slice(0, kept), each: held.grant.each };
    }
    held.amounts = after;
  }

  /** True if the node, all free, could hold it. */
  canEver(request: Record<string, number> | Resources): boolean {
    const amounts = request instanceof Resources ? request : Resources.from(request);
    return this.#total.fits(amounts) && GpuPool.isPossible(amounts.units(GPU));
  }

  /** For people: what the request lacks here, of the total or else of what is free now. Empty when it fits. */
  missing(request: Record<string, number> | Resources): string {
    const amounts = request instanceof Resources ? request : Resources.from(request);
    return shortage(amounts, this.#total, this.free);
  }

  /**
   * Changes how much the node has. What is in use stays in use, so free amounts may be below zero for a while.
   * @throws InvalidOptionError for a bad amount, or a number of GPUs that is not whole.
   */
  setTotal(name: string, amount: number): void {
    const units = toUnits(name, amount);
    if (name === GPU) this.#gpus.resize(wholeGpus(units));
    const change = Resources.ofUnits([[name, units - this.#total.units(name)]]);
    this.#total = this.#total.add(change);
    this.#free = this.#free.add(withoutGpus(change));
  }

  #find(allocation: Allocation): Held | undefined {
    return allocation instanceof Held && this.#held.has(allocation) ? allocation : undefined;
  }
}

/**
 * Why a request can't be had from `total`, or not now from `free`, in words such as
 * `needs GPU: 1, this node has none`. Empty when it can.
 */
export function shortage(request: Resources, total: Resources, free: Resources): string {
  const parts: string[] = [];
  for (const [name, units] of request.entries()) {
    const has = total.units(name);
    const need = `needs ${name}: ${units / UNITS}`;
    if (name === GPU && !GpuPool.isPossible(units)) {
      parts.push(`${need}, but above 1 GPUs are only given whole`);
    } else if (has < units) {
      parts.push(has <= 0 ? `${need}, this node has none` : `${need}, this node has ${has / UNITS} in all`);
    }
  }
  if (parts.length > 0) return parts.join("; ");
  for (const [name, units] of request.entries()) {
    const left = Math.max(0, free.units(name));
    if (left < units)
      parts.push(`needs ${name}: ${units / UNITS}, ${left / UNITS} of ${total.units(name) / UNITS} free`);
  }
  return parts.join("; ");
}

const withoutGpus = (r: Resources): Resources =>
  Resources.ofUnits([...r.entries()].filter(([name]) => name !== GPU));
const cpusOf = (r: Resources): Resources => Resources.ofUnits([[CPU, r.units(CPU)]]);

function wholeGpus(units: number): number {
  if (units % UNITS !== 0) {
    throw new InvalidOptionError(`a node can't have ${units / UNITS} GPUs; give a whole number`);
  }
  return units / UNITS;
}
