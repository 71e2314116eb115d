/** The numbered GPUs of a node: who has which. Amounts in units of 0.0001. */
import { UNITS } from "./amounts.js";

/** Some devices, with how much of each was taken. */
export interface GpuGrant {
  readonly devices: readonly number[];
  /** Taken from each of the devices. */
  readonly each: number;
}
export const NO_GPUS: GpuGrant = { devices: [], each: 0 };

/**
 * Whole devices are exclusive. A fraction takes part of one device, the fullest one that has room (best fit), so
 * that whole ones stay free.
 */
export class GpuPool {
  readonly #free: number[] = [];
  #count = 0;

  constructor(count: number) {
    this.resize(count);
  }

  /** Some devices of another pool, of each of which there is so much to give out. */
  static of(devices: readonly number[], each: number): GpuPool {
    const pool = new GpuPool(0);
    for (const index of devices) pool.#free[index] = each;
    pool.#count = devices.length;
    return pool;
  }

  /** How many devices there are. */
  get count(): number {
    return this.#count;
  }

  /** Free units of all devices together. */
  get free(): number {
    return this.#free.reduce((sum, n) => sum + Math.max(0, n), 0);
  }

  /** True for fractions below 1 and for whole numbers. */
  static isPossible(units: number): boolean {
    return units < UNITS || units % UNITS === 0;
  }

  copy(): GpuPool {
    const pool = new GpuPool(0);
    pool.#free.push(...this.#free);
    pool.#count = this.#count;
    return pool;
  }

  /** The numbers of the devices, the one first of which most is free. */
  byFree(): number[] {
    const free = (device: number): number => this.#free[device] ?? 0;
    return [...this.#free.keys()]
      .filter((device) => this.#free[device] !== undefined)
      .toSorted((a, b) => free(b) - free(a));
  }

  /** Whether `acquire` would find devices for an amount now. */
  has(units: number): boolean {
    if (units === 0) return true;
    if (!GpuPool.isPossible(units)) return false;
    if (units < UNITS) return this.#free.some((free) => free >= units);
    return this.#free.filter((free) => free === UNITS).length >= units / UNITS;
  }

  /** Devices for an amount, or undefined when they can't be had now. */
  acquire(units: number): GpuGrant | undefined {
    if (units === 0) return NO_GPUS;
    if (!GpuPool.isPossible(units)) return undefined;
    if (units < UNITS) {
      let best = -1;
      for (const [index, free] of this.#free.entries()) {
        if (free >= units && (best < 0 || free < (this.#free[best] ?? 0))) best = index;
      }
      return best < 0 ? undefined : this.#take([best], units);
    }
    const whole = this.#free.flatMap((free, index) => (free === UNITS ? [index] : []));
    const wanted = units / UNITS;
    return whole.length < wanted ? undefined : this.#take(whole.slice(0, wanted), UNITS);
  }

  release(grant: GpuGrant): void {
    for (const index of grant.devices) this.#free[index] = (this.#free[index] ?? 0) + grant.each;
  }

  /** Devices above the new count are no longer given out; those in use go when they come back. */
  resize(count: number): void {
    for (let index = 0; index < Math.max(count, this.#count); index++) {
      const before = index < this.#count ? UNITS : 0;
      const after = index < count ? UNITS : 0;
      this.#free[index] = (this.#free[index] ?? 0) + after - before;
    }
    this.#count = count;
  }

  #take(devices: number[], each: number): GpuGrant {
    for (const index of devices) this.#free[index] = (this.#free[index] ?? 0) - each;
    return { devices, each };
  }
}
