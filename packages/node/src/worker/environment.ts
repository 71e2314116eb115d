/** Makes a worker one of a job: its variables, its directory, its setup module. */
import { resolve } from "node:path";
import { RuntimeEnvError, toError, type JobSpec, type RuntimeEnvSpec } from "@stingray/protocol";
import { LOAD_SETTING, loadTimeoutMs, moduleUrl, preload } from "@stingray/task/internal";
import type { DependencyContainer } from "tsyringe";

/**
 * Only the process is in the working directory: modules, `setup` included, are found from the job's root in every
 * worker, since that is how the driver and all others name them.
 *
 * @param env the task's or actor's environment, already merged over the job's
 * @throws RuntimeEnvError with what could not be set up, and why
 */
export async function enterEnvironment(
  job: JobSpec,
  env: RuntimeEnvSpec,
  container: () => DependencyContainer,
): Promise<void> {
  const { root } = job;
  const directory = resolve(root, env.workingDir ?? "");
  for (const [name, value] of Object.entries(env.envVars ?? {})) process.env[name] = value;
  try {
    process.chdir(directory);
  } catch (error) {
    throw new RuntimeEnvError(
      `the working directory ${directory} can't be entered on this node; it must exist on every node, or set runtimeEnv.workingDir`,
      {
        cause: error,
      },
    );
  }
  if (env.setup !== undefined) await inTime(env.setup, runSetup(env.setup, root, container()));
  if (job.entry !== "") preload(moduleUrl(job.entry, root));
}

/** A setup that never ends must not keep what waits for the worker waiting. */
async function inTime(setup: string, running: Promise<void>): Promise<void> {
  const limit = loadTimeoutMs(process.env);
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    const error = new RuntimeEnvError(
      `runtimeEnv.setup: ${setup} did not end within ${limit} ms; it may wait for something that does not come. ` +
        `Give it more time with runtimeEnv: { envVars: { ${LOAD_SETTING}: "<milliseconds>" } }`,
    );
    timer = setTimeout(() => reject(error), limit);
  });
  try {
    await Promise.race([running, late]);
  } finally {
    clearTimeout(timer);
  }
}

async function runSetup(setup: string, root: string, container: DependencyContainer): Promise<void> {
  let loaded: { default?: unknown };
  try {
    loaded = (await import(moduleUrl(setup, root))) as { default?: unknown };
  } catch (thrown) {
    const error = toError(thrown);
    throw new RuntimeEnvError(`runtimeEnv.setup: ${setup} threw while it was loaded: ${error.message}`, {
      cause: error,
    });
  }
  if (typeof loaded.default !== "function") {
    throw new RuntimeEnvError(
      `runtimeEnv.setup: ${setup} must have a default export that is a function of the worker's container`,
    );
  }
  try {
    await (loaded.default as (container: DependencyContainer) => unknown)(container);
  } catch (thrown) {
    const error = toError(thrown);
    throw new RuntimeEnvError(`runtimeEnv.setup: the default export of ${setup} threw: ${error.message}`, {
      cause: error,
    });
  }
}
