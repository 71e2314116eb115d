/** What a driver says of itself: the job that every agent must know to start workers for it. */
import { realpathSync, statSync } from "node:fs";
import { hostname } from "node:os";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type { JobSpec, NodeId, ProcessId } from "@stingray/protocol";
import { InvalidOptionError, newJobId, toError } from "@stingray/protocol";
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
  const root = rootOf(options.runtimeEnv?.workingDir);
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
 * What the paths of modules are relative to, on every node.
 * @throws InvalidOptionError where it is no directory
 */
function rootOf(workingDir: string | undefined): string {
  if (workingDir === undefined) return realpathSync(process.cwd());
  const path = resolve(workingDir);
  const fail = (why: string, cause?: Error): never => {
    throw new InvalidOptionError(
      `init(): runtimeEnv.workingDir: ${path} ${why}; name a directory that exists, here and on every node`,
      { detail: { workingDir, path }, ...(cause === undefined ? {} : { cause }) },
    );
  };
  let root: string;
  try {
    root = realpathSync(path);
    if (statSync(root).isDirectory()) return root;
  } catch (thrown) {
    const cause = toError(thrown);
    return fail(`can't be used (${cause.message})`, cause);
  }
  return fail("is no directory");
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
