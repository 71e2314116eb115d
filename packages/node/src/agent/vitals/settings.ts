/** How an agent looks after the memory and the event loops of its workers: from variables of its environment. */
import { InvalidOptionError } from "@stingray/protocol";

export interface VitalsSettings {
  /** Above this part of the machine's memory in use, a worker is ended; 1 or more: never. @defaultValue 0.95 */
  readonly threshold: number;
  /** Whether a worker that uses more memory than what it runs has declared is ended. @defaultValue false: it is told */
  readonly enforce: boolean;
  /** Between looks, in milliseconds. @defaultValue 1000 */
  readonly everyMs: number;
  /** What stands for /proc/meminfo, so that tests can make memory short without taking it. */
  readonly meminfo: string | undefined;
}

/** @throws InvalidOptionError */
export function vitalsSettings(env: NodeJS.ProcessEnv = process.env): VitalsSettings {
  const limits = env["STINGRAY_MEMORY_LIMITS"] ?? "warn";
  if (limits !== "warn" && limits !== "enforce") {
    throw new InvalidOptionError(
      `STINGRAY_MEMORY_LIMITS is "${limits}"; it may be "warn" (the default) or "enforce"`,
    );
  }
  return {
    threshold: numberIn(env, "STINGRAY_MEMORY_THRESHOLD", 0.95, 0.01, 1),
    enforce: limits === "enforce",
    everyMs: numberIn(env, "STINGRAY_VITALS_MS", 1_000, 50, 60_000),
    meminfo: env["STINGRAY_MEMINFO"],
  };
}

function numberIn(env: NodeJS.ProcessEnv, name: string, normal: number, least: number, most: number): number {
  const text = env[name];
  if (text === undefined || text === "") return normal;
  const value = Number(text);
  if (value >= least && value <= most) return value;
  throw new InvalidOptionError(`${name} is "${text}"; it must be a number from ${least} to ${most}`);
}
