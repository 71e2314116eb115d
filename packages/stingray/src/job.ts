/** What a driver says of itself: the job that every agent must know to start workers for it. */
import { realpathSync } from "node:fs";
import { hostname } from "node:os";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type { JobSpec, NodeId, ProcessId } from "@stingray/protocol";
import { newJobId } from "@stingray/protocol";
import { moduleOnWire, processState } from "@stingray/task/internal";
import type { InitOptions } from "./init-options.js";

/** Flags of node that make no sense, or harm, in a worker. */
const NOT_FOR_WORKERS =
  /^(--inspect|--debug|--test|--watch|--eval|-e$|--print|-p$|--interactive|-i$|--check|-c$|--cpu-prof|--heap-prof|--prof$)/;

/** The driver's own flags, without those that are for it alone. A flag that takes its value as the next item keeps it. */
export function workerFlags(execArgv: readonly string[]): string[] {
  const flags: string[] = [];
  for (let i = 0; i < execArgv.length; i++) {
    const flag = execArgv[i] as string;
    const next = execArgv[i + 1];
    const hasValue = !flag.includes("=") && next !== undefined && !next.startsWith("-");
    if (!NOT_FOR_WORKERS.test(flag)) flags.push(flag, ...(hasValue ? [next] : []));
    if (hasValue) i++;
  }
  return flags;
}

export function jobOf(options: InitOptions, driver: ProcessId, node: NodeId | undefined): JobSpec {
  const job = newJobId();
  const root = realpathSync(resolve(options.runtimeEnv?.workingDir ?? process.cwd()));
  const { workingDir: _, execArgv, ...env } = options.runtimeEnv ?? {};
  const spec: JobSpec = {
    job,
    driver,
    pid: process.pid,
    hostname: hostname(),
    entry: entryOf(root),
    root,
    namespace: options.namespace ?? job,
    runtimeEnv: Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined)),
    execArgv: execArgv ?? workerFlags(process.execArgv),
    logToDriver: options.logToDriver ?? true,
  };
  if (node !== undefined) spec.driverNode = node;
  return spec;
}

/**
 * The program's main module, for workers to load ahead; empty where it defines nothing remote (a test runner, say):
 * loading it would only run it.
 */
function entryOf(root: string): string {
  const main = process.argv[1];
  if (main === undefined) return "";
  let url: string;
  try {
    url = pathToFileURL(realpathSync(main)).href;
  } catch {
    return "";
  }
  for (const definition of processState.definitions.values())
    if (definition.module === url) return moduleOnWire(url, root);
  return "";
}
