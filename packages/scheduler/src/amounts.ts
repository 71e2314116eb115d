/**
 * Amounts of resources, counted in whole units of 0.0001 so that adding and taking away never drifts.
 *
 * Doubles hold whole numbers up to 2^53, which is 9 * 10^11 in units of 0.0001. Memory, in bytes, is more than that:
 * it is counted in whole bytes, and since 10,000 is a multiple of 16, doubles hold those up to 10^13.
 */
import { InvalidOptionError, MAX_AMOUNT, MAX_MEMORY_BYTES } from "@stingray/protocol";

/** How many units make 1 of a resource. */
export const UNITS = 10_000;
const MEMORY = "memory";

/**
 * One amount in units. Finer than 0.0001, and of memory finer than a byte, is rounded to the nearest, but an amount
 * above zero never becomes zero (a request must not turn into a request for nothing).
 * @throws InvalidOptionError for negative amounts, NaN, infinity, and more than 10^11, or 10^13 bytes of memory.
 */
export function toUnits(name: string, amount: number): number {
  const memory = name === MEMORY;
  if (typeof amount !== "number" || !(amount >= 0 && amount <= (memory ? MAX_MEMORY_BYTES : MAX_AMOUNT))) {
    const range = memory ? "bytes from 0 to 10^13" : "a number from 0 to 10^11 in steps of 0.0001";
    throw new InvalidOptionError(
      `the amount of resource ${JSON.stringify(name)} is ${String(amount)}; give ${range}`,
    );
  }
  if (amount === 0) return 0;
  return memory ? Math.max(1, Math.round(amount)) * UNITS : Math.max(1, Math.round(amount * UNITS));
}

/** A set of named amounts. Immutable; a name that is absent counts as 0. */
export class Resources {
  readonly #units: ReadonlyMap<string, number>;

  private constructor(units: ReadonlyMap<string, number>) {
    this.#units = units;
  }

  /**
   * From the user's units, for example `{ CPU: 1, GPU: 0.5 }`. Zeros are dropped.
   * @throws InvalidOptionError for an empty name or an amount that {@link toUnits} refuses.
   */
  static from(record: Record<string, number>): Resources {
    const units = new Map<string, number>();
    for (const [name, amount] of Object.entries(record)) {
      if (name === "") throw new InvalidOptionError("a resource has an empty name; give it one");
      const n = toUnits(name, amount);
      if (n !== 0) units.set(name, n);
    }
    return new Resources(units);
  }

  /** Nothing at all. */
  static get none(): Resources {
    return NONE;
  }

  /** From amounts in units of 0.0001, which may be negative. */
  static ofUnits(entries: Iterable<readonly [string, number]>): Resources {
    return new Resources(new Map([...entries].filter(([, n]) => n !== 0)));
  }

  /** In the user's units. */
  toRecord(): Record<string, number> {
    return Object.fromEntries([...this.#units].map(([name, n]) => [name, n / UNITS]));
  }

  /** The amount of one resource in units of 0.0001. */
  units(name: string): number {
    return this.#units.get(name) ?? 0;
  }

  names(): Iterable<string> {
    return this.#units.keys();
  }

  entries(): Iterable<[string, number]> {
    return this.#units.entries();
  }

  add(other: Resources): Resources {
    return this.#combine(other, 1);
  }

  /** May go below zero. */
  subtract(other: Resources): Resources {
    return this.#combine(other, -1);
  }

  /** True if all of `request` can be taken from this. */
  fits(request: Resources): boolean {
    for (const [name, n] of request.#units) if (this.units(name) < n) return false;
    return true;
  }

  /** How many times `request` can be taken from this; `limit` for a request of nothing. */
  times(request: Resources, limit: number): number {
    let times = limit;
    for (const [name, n] of request.#units) times = Math.min(times, Math.floor(this.units(name) / n));
    return Math.max(0, times);
  }

  /** The names of which this has less than `request` asks for. */
  lacks(request: Resources): string[] {
    return [...request.#units].filter(([name, n]) => this.units(name) < n).map(([name]) => name);
  }

  isEmpty(): boolean {
    return this.#units.size === 0;
  }

  equals(other: Resources): boolean {
    if (this.#units.size !== other.#units.size) return false;
    for (const [name, n] of this.#units) if (other.units(name) !== n) return false;
    return true;
  }

  /** For people: `CPU: 1, GPU: 0.5`; `nothing` when empty. */
  toString(): string {
    return [...this.#units].map(([name, n]) => `${name}: ${n / UNITS}`).join(", ") || "nothing";
  }

  #combine(other: Resources, sign: 1 | -1): Resources {
    const sum = new Map(this.#units);
    for (const [name, n] of other.#units) {
      const total = (sum.get(name) ?? 0) + sign * n;
      if (total === 0) sum.delete(name);
      else sum.set(name, total);
    }
    return new Resources(sum);
  }
}

const NONE = Resources.ofUnits([]);
