/** What would fit into an account if some of what is in use there came back. For trying out; nothing is taken by it. */
import { UNITS, type Resources } from "./amounts.js";
import type { GpuPool } from "./gpus.js";

const GPU = "GPU";

export class Room {
  #plain: Resources;
  readonly #gpus: GpuPool;

  /** @param plain free amounts; those of GPUs don't count @param gpus the devices, which become the room's own */
  constructor(plain: Resources, gpus: GpuPool) {
    this.#plain = plain;
    this.#gpus = gpus;
  }

  copy(): Room {
    return new Room(this.#plain, this.#gpus.copy());
  }

  /** So much comes back, of these devices where there are GPUs in it. */
  add(amounts: Resources, devices: readonly number[]): void {
    this.#plain = this.#plain.add(amounts);
    this.#gpus.release({ devices, each: Math.min(UNITS, amounts.units(GPU)) });
  }

  /** It is taken by somebody else. */
  take(amounts: Resources): void {
    this.#plain = this.#plain.subtract(amounts);
    this.#gpus.acquire(amounts.units(GPU));
  }

  fits(amounts: Resources): boolean {
    return this.lacks(amounts).length === 0;
  }

  /** The names of which there is not enough; of GPUs, not enough in one piece. */
  lacks(amounts: Resources): string[] {
    const names = this.#plain.lacks(amounts).filter((name) => name !== GPU);
    if (!this.#gpus.has(amounts.units(GPU))) names.push(GPU);
    return names;
  }

  /** The devices that together could serve such an amount of GPUs, those first of which most is free. */
  deviceSets(amounts: Resources): number[][] {
    const units = amounts.units(GPU);
    if (this.#gpus.has(units)) return [[]];
    const devices = this.#gpus.byFree();
    const wanted = Math.max(1, units / UNITS);
    const sets: number[][] = [];
    for (let i = 0; i + wanted <= devices.length; i++) sets.push(devices.slice(i, i + wanted));
    return sets;
  }
}
