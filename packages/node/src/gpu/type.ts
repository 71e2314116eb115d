/** The short name of a kind of GPU, as in the label `accelerator-type`. */
import type { GpuDevice } from "./device.js";

/** Whose GPU it is, and for whom it was made; the rest of the name is enough. */
const BRANDS = new Set(["nvidia", "tesla", "quadro", "geforce", "grid"]);
/** They say nothing without what follows. */
const FAMILIES = new Set(["rtx", "gtx", "gt", "titan"]);
const MORE = /^([A-Z]?\d+[A-Za-z]?|Ti|SUPER|PRO|SFF|Ada|Laptop|RTX|V|X|Xp|D)$/;

/**
 * `NVIDIA A100-SXM4-80GB` is an `A100`, `NVIDIA GeForce RTX 4090` an `RTX4090`, `Tesla V100-SXM2-16GB` a `V100`,
 * `NVIDIA H100 80GB HBM3` an `H100`.
 * @returns undefined for a name that says nothing
 */
export function acceleratorType(name: string): string | undefined {
  const words = name
    .replace(/\(.*?\)/g, " ")
    .split(/\s+/)
    .filter((word) => word !== "");
  while (words.length > 0 && BRANDS.has((words[0] as string).toLowerCase())) words.shift();
  const [first, ...rest] = words;
  if (first === undefined || first === "Graphics") return undefined;
  if (!FAMILIES.has(first.toLowerCase())) return first.split("-")[0] || undefined;
  const more: string[] = [];
  for (const word of rest) {
    if (!MORE.test(word)) break;
    more.push(word);
  }
  // `RTX A6000` is known as A6000 everywhere.
  if (first === "RTX" && /^A\d+$/.test(more[0] ?? "")) return more.join("");
  return [first, ...more].join("");
}

/** The type of all of them; undefined where they are of several, or it is not known. */
export function commonType(devices: readonly GpuDevice[]): string | undefined {
  const types = new Set(devices.map(({ name }) => (name === undefined ? undefined : acceleratorType(name))));
  return types.size === 1 ? [...types][0] : undefined;
}
