/**
 * What makes one worker process different from another: the job, and the environment that its shape asks for. Two
 * requests with the same key can be served by the same process, one after another.
 */
import type { JobSpec, RuntimeEnvSpec } from "@stingray/protocol";

export interface WorkerEnv {
  readonly job: JobSpec;
  /** The shape's environment laid over the job's. */
  readonly runtimeEnv: RuntimeEnvSpec;
  /** Arguments of the `node` executable; they can't be changed once a process runs. */
  readonly execArgv: readonly string[];
  /** Set already when the process starts, for those that are read only then. */
  readonly envVars: Readonly<Record<string, string>>;
  /** Equal for requests that may share a process. */
  readonly key: string;
}

/** The environment of workers for `shapeEnv` of this job: variables are merged, every other field replaces the job's. */
export function workerEnv(job: JobSpec, shapeEnv: RuntimeEnvSpec | undefined): WorkerEnv {
  const envVars = { ...job.runtimeEnv.envVars, ...shapeEnv?.envVars };
  const runtimeEnv: RuntimeEnvSpec = { ...job.runtimeEnv, ...shapeEnv };
  if (Object.keys(envVars).length > 0) runtimeEnv.envVars = envVars;
  const execArgv = [...inheritable(job.execArgv), ...(runtimeEnv.execArgv ?? [])];
  const variables = Object.keys(envVars)
    .sort()
    .map((name) => [name, envVars[name]]);
  const key = JSON.stringify([job.job, execArgv, variables, runtimeEnv.workingDir, runtimeEnv.setup]);
  return { job, runtimeEnv, execArgv, envVars, key };
}

/** Options of `node` that take their value as the next argument, among those that are not handed on. */
const WITH_VALUE = new Set(["-e", "--eval", "-p", "--print", "-pe", "--inspect-port", "--watch-path"]);
/** They concern the driver's own run: its program text, its debugger port, its test runner. */
const OWN =
  /^(-e|--eval|-p|--print|-pe|-c|--check|-i|--interactive|--input-type|--inspect.*|--watch.*|--test.*)$/;

/** The driver's `process.execArgv` without what makes no sense, or does harm, in a second process. */
export function inheritable(execArgv: readonly string[]): string[] {
  const kept: string[] = [];
  for (let i = 0; i < execArgv.length; i++) {
    const arg = execArgv[i] as string;
    const name = arg.split("=", 1)[0] as string;
    if (!OWN.test(name)) kept.push(arg);
    else if (WITH_VALUE.has(arg)) i++;
  }
  return kept;
}

/** Variables that are read while a process starts: they can't be set in one that runs already. */
const EARLY = /^(NODE_|UV_|LD_|DYLD_|MALLOC_|OPENSSL_|SSL_|TZ$|ICU_|PATH$|HOME$|TMPDIR$)/;

/** Whether a process that was started without any job, with these arguments, can become a worker of `env`. */
export function fitsUnbound(env: WorkerEnv, startedWith: readonly string[]): boolean {
  return (
    env.execArgv.length === startedWith.length &&
    env.execArgv.every((arg, i) => arg === startedWith[i]) &&
    !Object.keys(env.envVars).some((name) => EARLY.test(name))
  );
}
