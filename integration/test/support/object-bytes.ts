/** Bytes that objects take in the stores of the cluster. */
import { nodes } from "stingray";

/** Without what is leased to processes for small values, and what is freed and still seen by a process. */
export async function objectBytes(): Promise<number> {
  let sum = 0;
  for (const { storeUsed, store } of await nodes())
    sum += storeUsed - (store?.leased ?? 0) - (store?.lingering ?? 0);
  return sum;
}
