/** What CUDA_VISIBLE_DEVICES of the agent's own process leaves of the devices of its machine. No I/O. */
import type { GpuDevice } from "./device.js";

const NUMBER = /^\d+$/;
const UUID = /^(GPU|MIG)-/;

/**
 * As CUDA reads it: numbers, or beginnings of UUIDs, in this order, up to the first that makes no sense. Entries stay as
 * they were written.
 * @param value of CUDA_VISIBLE_DEVICES; undefined: no limits. Empty, `-1` or `NoDevFiles`: none
 * @param known the devices that were found; undefined: nobody could be asked, so every entry is believed
 */
export function visibleDevices(
  value: string | undefined,
  known: readonly GpuDevice[] | undefined,
): GpuDevice[] | undefined {
  if (value === undefined) return known === undefined ? undefined : [...known];
  const seen = new Map<string, GpuDevice>();
  for (const token of value.split(",").map((text) => text.trim())) {
    const device = find(token, known);
    if (device === undefined) break;
    const { uuid, mig, entry } = device;
    const key = mig ?? uuid ?? entry;
    if (!seen.has(key)) seen.set(key, device);
  }
  return [...seen.values()];
}

function find(token: string, known: readonly GpuDevice[] | undefined): GpuDevice | undefined {
  const isNumber = NUMBER.test(token);
  if (!isNumber && !UUID.test(token)) return undefined;
  if (known === undefined) {
    const index = isNumber ? Number(token) : undefined;
    return { entry: token, index, ...(token.startsWith("MIG-") ? { mig: token } : {}) };
  }
  const device = isNumber
    ? known.find(({ index }) => index === Number(token))
    : known.find(({ mig, uuid }) => mig?.startsWith(token) === true || uuid?.startsWith(token) === true);
  // The number of a divided GPU means its first part, which only a UUID names.
  return device === undefined || device.mig !== undefined ? device : { ...device, entry: token };
}
