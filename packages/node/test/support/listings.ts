/** Made-up answers of stores. */
import type { StoreFigures } from "@stingray/protocol";

/** Of an empty store, but for what is given. */
export function someFigures(given: Partial<StoreFigures> = {}): StoreFigures {
  return {
    capacity: 64 * 1024 ** 2,
    used: 0,
    leased: 0,
    lingering: 0,
    warm: 0,
    onDisk: 0,
    objects: 0,
    spilledTotal: 0,
    restoredTotal: 0,
    sentTotal: 0,
    receivedTotal: 0,
    waiting: 0,
    ...given,
  };
}
