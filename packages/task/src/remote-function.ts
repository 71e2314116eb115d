/** `remote(fn)`: a function that runs elsewhere. */
import { WIRE } from "@stingray/objectstore";
import {
  DEFAULT_MAX_RETRIES,
  DEFAULT_TASK_CPUS,
  InvalidArgumentError,
  InvalidOptionError,
  TASK_RULES,
  checkOptions,
  describe,
  nameForMessages,
  shapeOf,
  timerMs,
  type TaskOptions,
  type TaskRunOptions,
} from "@stingray/protocol";
import { currentExecution } from "./context.js";
import type { ObjectRef } from "./objects/object-ref.js";
import { runtimeFor } from "./process-state.js";
import { define, type RemoteDefinition } from "./registry.js";
import type { CannotBeSent, Sendable } from "./sendable.js";
import type { TaskSettings } from "./submit/task.js";
import { ObjectRefStream } from "./stream.js";

/** An argument: a value, or a reference to one (which arrives as the value); nothing, where the type can't be sent. */
export type RemoteArg<T> = [Sendable<T>, 0] extends [never, 0]
  ? CannotBeSent | Extract<T, null | undefined>
  : T | ObjectRef<T>;
/** The same for all arguments of a function. */
export type RemoteArgs<A extends readonly unknown[]> = { [K in keyof A]: RemoteArg<A[K]> };
/**
 * What generators are declared to give, besides `AsyncIterable` itself. What has `next` can't be sent: nobody returns it
 * who is not a generator. Other iterables, such as queues, are values.
 */
type Streamed<T> =
  | Generator<T, unknown, unknown>
  | AsyncGenerator<T, unknown, unknown>
  | Iterator<T, unknown, unknown>
  | AsyncIterator<T, unknown, unknown>;
/** What `.remote()` returns for a function that returns `R`. */
export type RemoteResult<R> = [R, 0] extends [never, 0]
  ? ObjectRef<R>
  : 0 extends 1 & R
    ? ObjectRef<R>
    : [R] extends [Streamed<infer T>]
      ? ObjectRefStream<T>
      : [R] extends [AsyncIterable<infer T>]
        ? AsyncIterable<T> extends R
          ? ObjectRefStream<T>
          : ObjectRef<R>
        : ObjectRef<Awaited<R>>;
/** The same with `returns: n`: a reference for each item of the array. */
export type RemoteResults<R> =
  unknown extends Awaited<R>
    ? ObjectRef[]
    : Awaited<R> extends readonly unknown[]
      ? RefsOf<Awaited<R>>
      : never;
// Over a type parameter, so that tuples stay tuples.
type RefsOf<T extends readonly unknown[]> = { -readonly [K in keyof T]: ObjectRef<T[K]> };

/** A function that runs in a worker. */
export interface RemoteFunction<A extends unknown[], R, Result = RemoteResult<R>> {
  /**
   * Submits the task and returns at once.
   * @throws SerializationError for an argument that can't be sent; NotInitializedError
   */
  remote(...args: RemoteArgs<A>): Result;
  /**
   * The same function with other options for the calls made on the result.
   * @throws InvalidOptionError
   */
  options<const O extends TaskOptions>(
    options: O,
  ): RemoteFunction<A, R, O extends { returns: number } ? RemoteResults<R> : Result>;
  /** Its name on the wire. */
  readonly remoteName: string;
}

function isGenerator(fn: unknown): boolean {
  const kind = Object.prototype.toString.call(fn);
  return kind === "[object GeneratorFunction]" || kind === "[object AsyncGeneratorFunction]";
}

function settingsOf(
  definition: RemoteDefinition,
  o: TaskOptions,
  captured: string | undefined,
): TaskSettings {
  const shape = shapeOf(o, DEFAULT_TASK_CPUS, captured);
  const maxRetries = o.maxRetries ?? DEFAULT_MAX_RETRIES;
  const run: TaskRunOptions = {};
  const timeoutMs = timerMs(o.timeoutMs);
  if (timeoutMs !== undefined) run.timeoutMs = timeoutMs;
  if (o.backpressure !== undefined) run.backpressure = o.backpressure;
  if (shape.scheduling?.kind === "group" && shape.scheduling.capture) run.capture = shape.scheduling.group;
  if (o.maxCalls !== undefined) run.maxCalls = o.maxCalls;
  const alone = timeoutMs !== undefined || maxRetries === 0;
  if (alone) shape.alone = true;
  return {
    definition,
    shape,
    // Calls are counted by function: a lease for them is for one.
    shapeKey:
      JSON.stringify(shape) + (o.maxCalls === undefined ? "" : `${definition.module}#${definition.name}`),
    returns: o.returns ?? (isGenerator(definition.target) ? -1 : 1),
    maxRetries,
    retryOn: o.retryOn ?? false,
    run: Object.keys(run).length > 0 ? run : undefined,
    alone: alone || o.maxCalls !== undefined,
  };
}

class RemoteFunctionImpl {
  static {
    nameForMessages(this, "RemoteFunction");
  }

  private settings: TaskSettings | undefined;
  /** The same for calls inside of what a placement group has captured, by group. */
  private capturedSettings: Map<string, TaskSettings> | undefined;

  constructor(
    private readonly definition: RemoteDefinition,
    private readonly given: TaskOptions,
  ) {}

  get remoteName(): string {
    return this.definition.name;
  }

  remote(...args: unknown[]): unknown {
    const runtime = runtimeFor(`${this.definition.name}.remote()`);
    const execution = currentExecution();
    const settings = this.settingsIn(execution?.capture);
    const task = runtime.submitter.submit(settings, runtime.values.encodeArgs(args), execution?.taskId);
    if (task.stream !== undefined) return new ObjectRefStream(task.stream, task.sequence);
    const { table } = runtime;
    if (settings.returns !== 1) return task.results.map((entry) => table.handle(entry));
    const [entry] = task.results;
    return entry === undefined ? undefined : table.handle(entry);
  }

  private settingsIn(capture: string | undefined): TaskSettings {
    if (capture === undefined || this.given.scheduling !== undefined) {
      return (this.settings ??= settingsOf(this.definition, this.given, undefined));
    }
    this.capturedSettings ??= new Map();
    let settings = this.capturedSettings.get(capture);
    if (settings === undefined) {
      settings = settingsOf(this.definition, this.given, capture);
      this.capturedSettings.set(capture, settings);
    }
    return settings;
  }

  [WIRE](): never {
    throw new InvalidArgumentError(
      `the remote function ${this.remoteName} can't be sent: import its module where it is needed`,
    );
  }

  options(options: TaskOptions): RemoteFunctionImpl {
    checkOptions(`${this.definition.name}.options()`, TASK_RULES, options);
    if (options.maxCalls !== undefined)
      throw new InvalidOptionError(
        `${this.definition.name}.options(): maxCalls can only be given to remote()`,
      );
    if (options.name !== undefined)
      throw new InvalidOptionError(`${this.definition.name}.options(): name can only be given to remote()`);
    return new RemoteFunctionImpl(this.definition, { ...this.given, ...options });
  }
}

/**
 * Makes a remote function of `fn`, defined in `module`.
 * @throws InvalidArgumentError, InvalidOptionError
 */
export function remoteFunction<A extends unknown[], R>(
  module: string,
  options: TaskOptions,
  fn: (...args: A) => R,
): RemoteFunction<A, R> {
  if (typeof fn !== "function")
    throw new InvalidArgumentError(`remote() takes a function or a class, got ${describe(fn)}`);
  checkOptions(`remote(${fn.name})`, TASK_RULES, options);
  const definition = define("function", fn, module, options.name);
  return new RemoteFunctionImpl(definition, options) as unknown as RemoteFunction<A, R>;
}
