/** Reading what people type: amounts of memory, resources, labels. Each throws an error that says what was wanted. */
import { InvalidArgumentError as Refused } from "commander";

const UNITS: Record<string, number> = {
  "": 1,
  b: 1,
  k: 1e3,
  kb: 1e3,
  kib: 1024,
  m: 1e6,
  mb: 1e6,
  mib: 1024 ** 2,
  g: 1e9,
  gb: 1e9,
  gib: 1024 ** 3,
  t: 1e12,
  tb: 1e12,
  tib: 1024 ** 4,
};

/** `1073741824`, `1GiB`, `512 MB`: bytes. */
export function parseBytes(text: string): number {
  const [, amount, unit] = /^\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*$/i.exec(text) ?? [];
  const factor = unit === undefined ? undefined : UNITS[unit.toLowerCase()];
  if (amount === undefined || factor === undefined) {
    throw new Refused(`"${text}" is no amount of bytes; write for example 2GiB or 512MiB.`);
  }
  return Math.floor(Number(amount) * factor);
}

/** `4`, `0.5`: 0 or more. */
export function parseAmount(text: string): number {
  const value = text.trim() === "" ? NaN : Number(text);
  if (!Number.isFinite(value) || value < 0) throw new Refused(`"${text}" is no number from 0.`);
  return value;
}

/** A whole number from `least` to `most`. */
export function parseWhole(least: number, most = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = /^\d+$/.test(text.trim()) ? Number(text) : NaN;
    if (!(value >= least && value <= most)) {
      const range = most === Number.MAX_SAFE_INTEGER ? `from ${least}` : `from ${least} to ${most}`;
      throw new Refused(`"${text}" is no whole number ${range}.`);
    }
    return value;
  };
}

/** `{"special":2}` */
export function parseResources(text: string): Record<string, number> {
  const example = `write for example '{"special": 2}'.`;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Refused(`"${text}" is no JSON; ${example}`);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new Refused(`"${text}" is no map from resource to amount; ${example}`);
  }
  for (const [name, amount] of Object.entries(value)) {
    if (typeof amount !== "number" || !Number.isFinite(amount) || amount < 0) {
      throw new Refused(`the amount of "${name}" is no number from 0; ${example}`);
    }
  }
  return value as Record<string, number>;
}

/** `zone=b,disk=ssd` */
export function parseLabels(text: string): Record<string, string> {
  const labels: Record<string, string> = {};
  for (const pair of text.split(",").filter((part) => part.trim() !== "")) {
    const at = pair.indexOf("=");
    if (at < 1) throw new Refused(`"${pair}" is no label; write for example zone=b,disk=ssd.`);
    labels[pair.slice(0, at).trim()] = pair.slice(at + 1).trim();
  }
  return labels;
}

/** URLs, repeated or joined by commas or blanks, as in STINGRAY_ADDRESS. An empty text has none. */
export function parseUrls(text: string, before: string[] = []): string[] {
  const urls = text.split(/[\s,]+/).filter((url) => url !== "");
  for (const url of urls) {
    if (!URL.canParse(url.includes("://") ? url : `nats://${url}`)) {
      throw new Refused(`"${url}" is no URL; write for example nats://127.0.0.1:4222.`);
    }
  }
  return [...before, ...urls];
}

/** `6.4 GiB` */
export function showBytes(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : Math.round(value * 10) / 10} ${units[unit]}`;
}

const show = (name: string, amount: number): string =>
  name === "memory" ? showBytes(amount) : String(Math.round(amount * 10_000) / 10_000);

/** `2 CPU, 1 GPU, 6.4 GiB memory, 3 special`, or with `of` as `1/2 CPU`. */
export function showResources(amounts: Record<string, number>, of?: Record<string, number>): string {
  const names = Object.keys(of ?? amounts);
  return names
    .map((name) => {
      const amount = show(name, amounts[name] ?? 0);
      return of === undefined ? `${amount} ${name}` : `${amount}/${show(name, of[name] ?? 0)} ${name}`;
    })
    .join(", ");
}

/** `1 object`, `3 objects`. */
export function showCount(count: number, of: string): string {
  return `${count} ${of}${count === 1 ? "" : "s"}`;
}

/** `120 ms`, `3.4 s`, `5 min`, `2.5 h`, `3 d`. */
export function showAge(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  const seconds = ms / 1_000;
  const [amount, unit]: [number, string] =
    seconds < 100
      ? [seconds, "s"]
      : seconds < 6_000
        ? [seconds / 60, "min"]
        : seconds < 360_000
          ? [seconds / 3_600, "h"]
          : [seconds / 86_400, "d"];
  return `${amount >= 10 ? Math.round(amount) : Math.round(amount * 10) / 10} ${unit}`;
}
