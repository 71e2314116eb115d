/** `remote()`: one word for functions and classes. */
import { isClass, remoteClass, type RemoteClass } from "@stingray/actor";
import { InvalidArgumentError, describe, type ActorOptions, type TaskOptions } from "@stingray/protocol";
import { callerModule, remoteFunction, type RemoteFunction, type RemoteResults } from "@stingray/task";

/**
 * Makes a remote function of a function (`.remote(...)` submits a task), or a remote class of a class (`.remote(...)`
 * creates an actor). Call it at the top level of a module, above `await init()`: workers import the module to find it.
 *
 * Inside `remote(function f() { … })` the inner `f` is the plain function and hides a constant of the same name: to
 * recurse, name the constant otherwise or use an arrow function.
 *
 * @throws InvalidArgumentError; InvalidOptionError for an unknown or ill-typed option
 */
export function remote<A extends unknown[], T extends object>(cls: new (...args: A) => T): RemoteClass<A, T>;
export function remote<A extends unknown[], T extends object>(
  options: ActorOptions,
  cls: new (...args: A) => T,
): RemoteClass<A, T>;
export function remote<A extends unknown[], R>(fn: (...args: A) => R): RemoteFunction<A, R>;
export function remote<const O extends TaskOptions & { returns: number }, A extends unknown[], R>(
  options: O,
  fn: (...args: A) => R,
): RemoteFunction<A, R, RemoteResults<R>>;
export function remote<A extends unknown[], R>(
  options: TaskOptions,
  fn: (...args: A) => R,
): RemoteFunction<A, R>;
export function remote(first: unknown, second?: unknown): unknown {
  const module = callerModule(remote);
  const [options, target] = typeof first === "function" ? [{}, first] : [first, second];
  if (typeof target !== "function") {
    throw new InvalidArgumentError(
      `remote() takes a function or a class, with options before it if any; got ${describe(second === undefined ? first : second)}`,
    );
  }
  if (isClass(target))
    return remoteClass(module, options as ActorOptions, target as new (...args: unknown[]) => object);
  return remoteFunction(module, options as TaskOptions, target as (...args: unknown[]) => unknown);
}
