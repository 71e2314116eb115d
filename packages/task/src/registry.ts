/**
 * Remote functions and actor classes by module and name. A definition registers when `remote()` or `@actor` runs;
 * a worker finds it by importing the same module. Code never travels.
 */
import { createHash } from "node:crypto";
import { isAbsolute, relative, resolve, sep } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { FunctionNotFoundError, InvalidArgumentError, RuntimeEnvError, toError } from "@stingray/protocol";
import { isOwnModule, ownModuleUrl } from "./own-modules.js";
import { processState } from "./process-state.js";

export type Callable = (...args: never[]) => unknown;
export type Constructor = abstract new (...args: never[]) => object;

export interface RemoteDefinition {
  readonly kind: "function" | "class";
  /** File URL of the module that defined it; of this library's own, its name in own-modules.ts. */
  readonly module: string;
  /** Its own or given name; `#<n>` for the n-th anonymous one of its module. */
  readonly name: string;
  readonly target: Callable | Constructor;
  /** Of its source text. */
  readonly hash: string;
}

/** How a definition is named on the wire. */
export interface DefinitionKey {
  module: string;
  name: string;
  hash: string;
}

const keyOf = (module: string, name: string): string => `${module}#${name}`;

/**
 * The URL of the module that called `below`.
 * @throws InvalidArgumentError where the stack does not tell (code run with eval or from a data URL)
 */
export function callerModule(below: (...args: never[]) => unknown): string {
  const holder: { stack?: unknown } = {};
  // oxlint-disable-next-line typescript/unbound-method -- kept to be put back, not called
  const prepare = Error.prepareStackTrace;
  const limit = Error.stackTraceLimit;
  try {
    Error.stackTraceLimit = 20;
    Error.prepareStackTrace = (_, sites) => sites;
    Error.captureStackTrace(holder, below);
    const sites = holder.stack as NodeJS.CallSite[];
    for (const site of sites) {
      const file = site.getFileName();
      // Helpers that compilers put between a decorator and its class are not where the class is.
      if (!file || file.startsWith("node:") || /[\\/]node_modules[\\/]tslib[\\/]/.test(file)) continue;
      return moduleFile(file);
    }
  } finally {
    Error.prepareStackTrace = prepare;
    Error.stackTraceLimit = limit;
  }
  throw noModule();
}

/** What node calls code that it was given on the command line or on standard input. */
const NO_FILE = /(^|[\\/])\[(eval\d*|stdin|worker eval)\]$/;

/** @throws InvalidArgumentError for code that came from somewhere else than a file */
function moduleFile(name: string): string {
  const isUrl = name.startsWith("file:");
  if ((!isUrl && !isAbsolute(name)) || NO_FILE.test(name)) throw noModule(name);
  return isUrl ? name.replace(/[?#].*$/, "") : pathToFileURL(name).href;
}

function noModule(name?: string): InvalidArgumentError {
  const shown = name === undefined ? "" : ` (${name.length > 60 ? `${name.slice(0, 60)}…` : name})`;
  return new InvalidArgumentError(
    `remote() or @actor was used in code that is in no module file${shown}, so that workers can't import it: code from ` +
      "-e, standard input, eval or a data URL is found by nobody else; move it into a module",
  );
}

/** Registers a function or class of `module`. The same name twice in a module gets a number, in order of definition. */
export function define(
  kind: RemoteDefinition["kind"],
  target: Callable | Constructor,
  module: string,
  given?: string,
): RemoteDefinition {
  let name = given ?? target.name;
  if (name === "") {
    const position = processState.anonymous.get(module) ?? 0;
    processState.anonymous.set(module, position + 1);
    name = `#${position}`;
  }
  for (let n = 2; processState.definitions.has(keyOf(module, name)); n++) {
    const existing = processState.definitions.get(keyOf(module, name));
    if (existing?.target === target) return existing;
    // Another copy of this library in the same process: what the first has defined serves both.
    if (existing !== undefined && isOwnModule(module)) return existing;
    name = `${name.replace(/~\d+$/, "")}~${n}`;
  }
  let hash: string | undefined;
  const definition: RemoteDefinition = {
    kind,
    module,
    name,
    target,
    get hash() {
      return (hash ??= createHash("sha256")
        .update(Function.prototype.toString.call(target))
        .digest("hex")
        .slice(0, 16));
    },
  };
  processState.definitions.set(keyOf(module, name), definition);
  for (const listener of [...processState.listeners]) listener();
  return definition;
}

/** The module as others know it: relative to the job's root where it lies below it, with `/`; else its URL. */
export function moduleOnWire(module: string, root: string): string {
  if (!module.startsWith("file:")) return module;
  // Asked for with each task and actor, and nearly always for the same few.
  if (onWire.root !== root) onWire = { root, modules: new Map() };
  let found = onWire.modules.get(module);
  if (found === undefined) {
    const path = relative(root, fileURLToPath(module));
    found = path.startsWith("..") || isAbsolute(path) ? module : path.split(sep).join("/");
    onWire.modules.set(module, found);
  }
  return found;
}

let onWire: { readonly root: string | undefined; readonly modules: Map<string, string> } = {
  root: undefined,
  modules: new Map(),
};

/** The inverse of {@link moduleOnWire}, for this machine's root. */
export function moduleUrl(module: string, root: string): string {
  return /^[a-z]+:/i.test(module) ? module : pathToFileURL(resolve(root, module)).href;
}

/** Time that a module may take to define what a task needs, unless {@link LOAD_SETTING} says otherwise. Milliseconds. */
const LOAD_DEADLINE_MS = 60_000;
/** The environment variable with another one. */
export const LOAD_SETTING = "STINGRAY_LOAD_TIMEOUT_MS";
/** Longer ones run at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;
/** After this long it is said that a module is being loaded, so that nobody wonders. Milliseconds. */
const SLOW_MS = 5_000;
/** The same once `init()` was reached: a module that imports the one blocked there can't finish loading. */
const AFTER_INIT_MS = 5_000;

interface Load {
  readonly done: Promise<unknown>;
  /** `init()` was called while it was loading: what it defines at its top level is defined. */
  reachedInit: boolean;
}
const loads = new Map<string, Load>();

/**
 * Finds a definition, importing its module if need be. The import of a module that calls `await init()` never
 * settles in a worker; what it defined above that line is there all the same.
 * @throws FunctionNotFoundError where it is not there, or its source differs; RuntimeEnvError where the module threw
 * while it was loaded, or was not loaded in time
 */
export async function findDefinition(key: DefinitionKey, root: string): Promise<RemoteDefinition> {
  const url = moduleUrl(key.module, root);
  const found = findLoaded(key, root);
  if (found !== undefined) return found;
  await loadUntil(key, url, root, () => processState.definitions.has(keyOf(url, key.name)));
  const loaded = findLoaded(key, root);
  if (loaded !== undefined) return loaded;
  const known = [...processState.definitions.values()].filter((d) => d.module === url).map((d) => d.name);
  throw new FunctionNotFoundError(
    `a worker found no remote function or actor class "${key.name}" in ${key.module}` +
      (known.length > 0 ? ` (it found ${known.join(", ")})` : "") +
      ": define it with remote() or @actor at the top level of the module, above `await init()`, unconditionally",
    { detail: { module: key.module, name: key.name } },
  );
}

/** The definition if its module is loaded already. */
export function findLoaded(key: DefinitionKey, root: string): RemoteDefinition | undefined {
  const found = processState.definitions.get(keyOf(moduleUrl(key.module, root), key.name));
  if (found !== undefined && found.hash !== key.hash) {
    throw new FunctionNotFoundError(
      `"${key.name}" in ${key.module} was changed since it was loaded: the caller and the worker have different sources; ` +
        "start the program again so that both run the same",
      { detail: { module: key.module, name: key.name } },
    );
  }
  return found;
}

function load(url: string, root: string): Load {
  let entry = loads.get(url);
  if (entry === undefined) {
    entry = { done: import(isOwnModule(url) ? ownModuleUrl(url, root) : url), reachedInit: false };
    entry.done.catch(() => {}); // reported by whoever awaits it
    loads.set(url, entry);
  }
  return entry;
}

/** How long a module may take to load in a process with these variables, in milliseconds. */
export function loadTimeoutMs(variables: Readonly<Record<string, string | undefined>>): number {
  const given = Number(variables[LOAD_SETTING]);
  return given > 0 ? Math.min(given, MAX_TIMER_MS) : LOAD_DEADLINE_MS;
}

/**
 * Imports a module and resolves when `enough` is true, when the module is loaded, or when it reached `init()`.
 * @throws RuntimeEnvError where it threw, or did not finish in time
 */
async function loadUntil(
  { module, name }: DefinitionKey,
  url: string,
  root: string,
  enough: () => boolean,
): Promise<void> {
  const loading = load(url, root);
  const deadline = loadTimeoutMs(process.env);
  let timer: NodeJS.Timeout | undefined;
  let listener: (() => void) | undefined;
  const slow = setTimeout(() => {
    process.stderr.write(
      `stingray: ${module}, needed for "${name}", has been loading for ${SLOW_MS} ms; it gets ${deadline} ms\n`,
    );
  }, SLOW_MS).unref();
  try {
    await Promise.race([
      loading.done.catch((error: unknown) => {
        throw loadFailure({ module, name }, toError(error));
      }),
      new Promise<void>((done, late) => {
        listener = () => {
          if (enough()) done();
          else if (loading.reachedInit) setImmediate(done);
          else if (processState.initCalls > 0 && timer === undefined) timer = setTimeout(done, AFTER_INIT_MS);
        };
        processState.listeners.add(listener);
        listener();
        timer ??= setTimeout(() => late(loadTooLong({ module, name }, deadline)), deadline);
      }),
    ]);
  } finally {
    clearTimeout(timer);
    clearTimeout(slow);
    if (listener !== undefined) processState.listeners.delete(listener);
  }
}

type Needed = Pick<DefinitionKey, "module" | "name">;

/** A module that threw while loading: its own error is the cause, and its place is named. */
function loadFailure({ module, name }: Needed, cause: Error): RuntimeEnvError {
  const failure = new RuntimeEnvError(
    `${module} threw while it was loaded in a worker for "${name}": ${cause.name}: ${cause.message}`,
    { cause, detail: { module, name } },
  );
  const frames = cause.stack?.split("\n").filter((line) => /^\s+at /.test(line)) ?? [];
  failure.stack = [`${failure.name}: ${failure.message}`, ...frames].join("\n");
  return failure;
}

function loadTooLong({ module, name }: Needed, deadline: number): RuntimeEnvError {
  return new RuntimeEnvError(
    `${module} did not finish loading within ${deadline} ms in a worker that needs it for "${name}": something that ` +
      `it awaits at its top level does not come. Define "${name}" above that line, or give it more time with ` +
      `runtimeEnv: { envVars: { ${LOAD_SETTING}: "<milliseconds>" } }`,
    { detail: { module, name } },
  );
}

/** Imports a module in the background, so that it is there when the first task comes. Failures show there. */
export function preload(url: string): void {
  load(url, process.cwd());
}

/** In a worker: a user's module called `init()`. */
export function initReached(): void {
  processState.initCalls++;
  for (const entry of loads.values()) entry.reachedInit = true;
  for (const listener of [...processState.listeners]) listener();
}
