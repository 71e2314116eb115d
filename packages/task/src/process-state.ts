/**
 * What exists once per process, however many copies of this package are loaded: the registry of remote functions
 * and classes, and the running cluster connection. Held under a registered symbol for that reason.
 */
import { NotInitializedError } from "@stingray/protocol";
import type { RemoteDefinition } from "./registry.js";
import type { Runtime } from "./runtime.js";

interface ProcessState {
  /** By `<module URL>#<name>`. */
  readonly definitions: Map<string, RemoteDefinition>;
  /** Anonymous definitions so far, by module: their position is their name. */
  readonly anonymous: Map<string, number>;
  /** Called when a definition is added, and when `init()` is reached in a worker. */
  readonly listeners: Set<() => void>;
  runtime: Runtime | undefined;
  /** In a worker, `init()` never resolves. */
  isWorker: boolean;
  /** In a worker: how often user modules have called `init()`. */
  initCalls: number;
}

const KEY = Symbol.for("stingray.process.v1");
type Holder = { [KEY]?: ProcessState };

export const processState: ProcessState = ((globalThis as Holder)[KEY] ??= {
  definitions: new Map(),
  anonymous: new Map(),
  listeners: new Set(),
  runtime: undefined,
  isWorker: false,
  initCalls: 0,
});

/**
 * @param what the call that needs it, for the message
 * @throws NotInitializedError
 */
export function runtimeFor(what: string): Runtime {
  const runtime = processState.runtime;
  if (runtime === undefined) {
    throw new NotInitializedError(
      `${what} needs a cluster: call \`await init()\` first (and not after \`shutdown()\`)`,
    );
  }
  return runtime;
}
