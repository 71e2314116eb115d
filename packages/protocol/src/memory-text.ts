/** What is said of processes that ended for want of memory. */
import type { MemoryEnd } from "./messages/exits.js";
import type { ErrorDetail } from "./errors.js";

/** What happened and what to do, as a part of a sentence: `its JavaScript heap reached its limit (…): …`. */
export function describeMemoryEnd(end: MemoryEnd): string {
  const { kind, used, limit, total, available } = end;
  switch (kind) {
    case "heap":
      return (
        `it ran into the limit of its JavaScript heap (${mib(limit ?? 0)}, ${mib(used)} of it in use at the end): keep less in it, or give it ` +
        `more with runtimeEnv: { execArgv: ["--max-old-space-size=<MiB>"] }`
      );
    case "declared":
      return `it used ${mib(used)}, more than the ${mib(limit ?? 0)} that it had declared: declare more memory, or use less`;
    case "machine":
      return (
        `its machine was nearly out of memory (${mib(available ?? 0)} of ${mib(total ?? 0)} left), and it was ended with ` +
        `its ${mib(used)} to make room: declare memory, so that fewer run at once, or add nodes`
      );
    case "kernel":
      return (
        `the kernel ended it, with some ${mib(used)}, since the machine or its control group was out of memory: declare ` +
        `memory, so that fewer run at once, or add nodes`
      );
  }
}

/** The figures, for programs. */
export function memoryDetail({ kind, used, limit, total, available }: MemoryEnd): ErrorDetail {
  return {
    memory: kind,
    used,
    ...(limit === undefined ? {} : { limit }),
    ...(total === undefined ? {} : { total }),
    ...(available === undefined ? {} : { available }),
  };
}

/** `812 MiB`, `3.2 GiB` */
function mib(bytes: number): string {
  const value = bytes / 2 ** 20;
  return value < 1024 ? `${Math.round(value)} MiB` : `${Math.round(value / 102.4) / 10} GiB`;
}
