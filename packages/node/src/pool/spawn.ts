/** Starts a worker process: `node [execArgv] <worker main>`, its configuration as one line on its standard input. */
import { ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { PROTOCOL_VERSION, toError } from "@stingray/protocol";
import type { WorkerConfig } from "../worker-config.js";

export interface SpawnOptions {
  config: Omit<WorkerConfig, "version">;
  execArgv: readonly string[];
  envVars: Readonly<Record<string, string>>;
  /** The worker's main program. @defaultValue the one of this package */
  main?: string | undefined;
}

const WORKER_MAIN = fileURLToPath(new URL("../worker/main.js", import.meta.url));

/** Credentials that the agent was started with; user code has no business with them. */
const CREDENTIALS = /^STINGRAY_(TOKEN|USER|PASSWORD|CREDS|NKEY|AUTH)/;

/**
 * Does not throw: a process that could not be started emits `error` and has no pid. Where the machine is out of
 * descriptors or processes, it has no pipes either.
 */
export function spawnWorker(o: SpawnOptions): ChildProcess {
  const env: NodeJS.ProcessEnv = {};
  for (const [name, value] of Object.entries(process.env)) if (!CREDENTIALS.test(name)) env[name] = value;
  Object.assign(env, o.envVars);
  const child = start([...o.execArgv, o.main ?? WORKER_MAIN], env);
  // A process that ends before it has read its configuration breaks the pipe; its exit is what gets reported.
  child.stdin?.on("error", () => undefined);
  const config: WorkerConfig = { ...o.config, version: PROTOCOL_VERSION };
  child.stdin?.end(`${JSON.stringify(config)}\n`);
  return child;
}

/** Some failures `spawn` throws, others it emits: here they are all emitted. */
function start(args: string[], env: NodeJS.ProcessEnv): ChildProcess {
  try {
    return spawn(process.execPath, args, { env, stdio: ["pipe", "pipe", "pipe"], detached: false });
  } catch (thrown) {
    const child = new ChildProcess();
    process.nextTick(() => child.emit("error", toError(thrown)));
    return child;
  }
}
