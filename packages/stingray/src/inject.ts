/** Resolving from the worker's container. */
import { runtimeFor } from "@stingray/task/internal";
import type { InjectionToken } from "tsyringe";

/** What the job's `runtimeEnv.setup` module has registered in this process's container. Throws what tsyringe throws. */
export function inject<T>(token: InjectionToken<T>): T {
  return runtimeFor("inject()").container().resolve(token);
}
