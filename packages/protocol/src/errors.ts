/**
 * Every error that a user can meet. Each has a stable `code` (the API: texts may change, codes may not), a
 * `retryable` flag (would the same call have a chance later?), a message that says what happened, to what, and
 * what to do now, and a `cause` where there is one.
 *
 * `instanceof` works across duplicate copies of this package: classes are recognised by their code and those of
 * their ancestors, held under a registered symbol, not by identity.
 */
import { inspect } from "node:util";

/** The stable codes, by class name. The one list of them. */
export const ErrorCode = {
  StingrayError: "STINGRAY",
  NotInitializedError: "NOT_INITIALIZED",
  InvalidArgumentError: "INVALID_ARGUMENT",
  InvalidOptionError: "INVALID_OPTION",
  TimeoutError: "TIMEOUT",
  GetTimeoutError: "GET_TIMEOUT",
  TaskTimeoutError: "TASK_TIMEOUT",
  ActorNotFoundError: "ACTOR_NOT_FOUND",
  GroupNotFoundError: "GROUP_NOT_FOUND",
  QueueFullError: "QUEUE_FULL",
  QueueEmptyError: "QUEUE_EMPTY",
  QueueClosedError: "QUEUE_CLOSED",
  TaskError: "TASK_FAILED",
  TaskCancelledError: "TASK_CANCELLED",
  WorkerCrashedError: "WORKER_CRASHED",
  OutOfMemoryError: "OUT_OF_MEMORY",
  ActorDiedError: "ACTOR_DIED",
  ActorUnavailableError: "ACTOR_UNAVAILABLE",
  StaleEpochError: "STALE_EPOCH",
  PendingCallsLimitError: "PENDING_CALLS_LIMIT",
  DeadlockError: "DEADLOCK",
  ObjectLostError: "OBJECT_LOST",
  ObjectStoreFullError: "OBJECT_STORE_FULL",
  SerializationError: "SERIALIZATION",
  FunctionNotFoundError: "FUNCTION_NOT_FOUND",
  UnschedulableError: "UNSCHEDULABLE",
  RuntimeEnvError: "RUNTIME_ENV",
  NameTakenError: "NAME_TAKEN",
  ConnectionError: "CONNECTION",
  AuthError: "AUTH",
  ProtocolError: "PROTOCOL",
} as const;
export type ErrorName = keyof typeof ErrorCode;
/** Any of them. */
export type ErrorCode = (typeof ErrorCode)[ErrorName];

/** Structured facts of an error (signal, exit code, sizes, …), for programs; the message has them for people. */
export type ErrorDetail = Readonly<Record<string, string | number | boolean | null | readonly string[]>>;

export interface StingrayErrorOptions {
  cause?: unknown;
  /** Facts for programs. Travels on the wire. */
  detail?: ErrorDetail;
}

const CODES = Symbol.for("stingray.error.codes");

/** The root of all errors of this library. Never thrown itself. */
export class StingrayError extends Error {
  static readonly code: ErrorCode = ErrorCode.StingrayError;
  static readonly retryable: boolean = false;

  /** Stable across versions; switch on this, never on the text. */
  readonly code: ErrorCode;
  /** True where the same call may succeed later without a change by the caller. */
  readonly retryable: boolean;
  /** Facts for programs, by name; what each class has stands at the class. Empty where there are none. */
  readonly detail: ErrorDetail;

  constructor(message: string, options: StingrayErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    const cls = new.target;
    this.code = cls.code;
    this.retryable = cls.retryable;
    this.detail = options.detail ?? {};
    Object.defineProperty(this, "name", { value: cls.name, configurable: true, writable: true });
    Object.defineProperty(this, CODES, { value: codesOf(cls) });
  }

  static override [Symbol.hasInstance](value: unknown): boolean {
    if (typeof value !== "object" || value === null) return false;
    const codes = (value as { [CODES]?: readonly string[] })[CODES];
    return codes !== undefined && codes.includes(this.code);
  }
}

function codesOf(cls: typeof StingrayError): readonly ErrorCode[] {
  const codes: ErrorCode[] = [];
  for (let c: typeof StingrayError = cls; typeof c.code === "string"; c = Object.getPrototypeOf(c))
    codes.push(c.code);
  return codes;
}

/** A call that needs a cluster was made before `await init()` or after `shutdown()`. */
export class NotInitializedError extends StingrayError {
  static override readonly code: ErrorCode = ErrorCode.NotInitializedError;
}
/** An argument of one of our own functions is of the wrong type or out of range. */
export class InvalidArgumentError extends StingrayError {
  static override readonly code: ErrorCode = ErrorCode.InvalidArgumentError;
}
/** An option is unknown or ill-typed; the message names the nearest valid one. */
export class InvalidOptionError extends StingrayError {
  static override readonly code: ErrorCode = ErrorCode.InvalidOptionError;
}
/** A wait with `timeoutMs` ended without its result. What was waited for goes on. */
export class TimeoutError extends StingrayError {
  static override readonly code: ErrorCode = ErrorCode.TimeoutError;
  static override readonly retryable: boolean = true;
}
/** `get` did not have every value in time. The tasks go on; `get` may be called again. */
export class GetTimeoutError extends TimeoutError {
  static override readonly code: ErrorCode = ErrorCode.GetTimeoutError;
}
/** An attempt of a task took longer than its `timeoutMs` and was ended. */
export class TaskTimeoutError extends TimeoutError {
  static override readonly code: ErrorCode = ErrorCode.TaskTimeoutError;
}
/** No live actor has that name in that namespace. */
export class ActorNotFoundError extends StingrayError {
  static override readonly code: ErrorCode = ErrorCode.ActorNotFoundError;
}
/** No placement group has that name in that namespace. */
export class GroupNotFoundError extends StingrayError {
  static override readonly code: ErrorCode = ErrorCode.GroupNotFoundError;
}
/** A queue with a bound has no room now. */
export class QueueFullError extends StingrayError {
  static override readonly code: ErrorCode = ErrorCode.QueueFullError;
  static override readonly retryable: boolean = true;
}
/** A queue has nothing now. */
export class QueueEmptyError extends StingrayError {
  static override readonly code: ErrorCode = ErrorCode.QueueEmptyError;
  static override readonly retryable: boolean = true;
}
/** A queue takes no more items, or has none left and gets none. */
export class QueueClosedError extends StingrayError {
  static override readonly code: ErrorCode = ErrorCode.QueueClosedError;
}

/** User code threw. `cause` is the original error, rebuilt; the stack goes on with the remote one. */
export class TaskError extends StingrayError {
  static override readonly code: ErrorCode = ErrorCode.TaskError;
}
/** The task or call was cancelled, by `cancel`, by its `signal`, or with the task that submitted it. */
export class TaskCancelledError extends StingrayError {
  static override readonly code: ErrorCode = ErrorCode.TaskCancelledError;
}
/** The process that ran the task ended. `detail`: `pid`, `exitCode`, `signal`, `stderr` (last lines). */
export class WorkerCrashedError extends StingrayError {
  static override readonly code: ErrorCode = ErrorCode.WorkerCrashedError;
  static override readonly retryable: boolean = true;
}
/**
 * A worker ended for want of memory: its node ended it, V8 gave up at its heap limit, or the kernel did it. `detail`, beside that of
 * a crash: `memory` ("machine", "declared", "heap" or "kernel"), and in bytes `used`, `limit`, `total` and `available`
 * as far as they are known.
 */
export class OutOfMemoryError extends WorkerCrashedError {
  static override readonly code: ErrorCode = ErrorCode.OutOfMemoryError;
}
/** The actor will not come back. `cause` says why it died. */
export class ActorDiedError extends StingrayError {
  static override readonly code: ErrorCode = ErrorCode.ActorDiedError;
}
/** The actor is being restarted, or can't be reached now; the call may or may not have run. */
export class ActorUnavailableError extends StingrayError {
  static override readonly code: ErrorCode = ErrorCode.ActorUnavailableError;
  static override readonly retryable: boolean = true;
}
/**
 * This incarnation of the actor is no longer the newest: another has taken its place, or the actor is dead. What it saves
 * is refused. `detail`: `actor`, `epoch`, and `newest` where that is known.
 */
export class StaleEpochError extends StingrayError {
  static override readonly code: ErrorCode = ErrorCode.StaleEpochError;
}
/** This process has `maxPendingCalls` calls of the actor under way. Thrown by `.remote()`; wait for some of them. */
export class PendingCallsLimitError extends StingrayError {
  static override readonly code: ErrorCode = ErrorCode.PendingCallsLimitError;
  static override readonly retryable: boolean = true;
}
/**
 * A cycle of calls would have waited for itself; the message shows the cycle. A `get` that was begun counts as awaited:
 * one that the method goes on without needs a `timeoutMs` or a signal.
 */
export class DeadlockError extends StingrayError {
  static override readonly code: ErrorCode = ErrorCode.DeadlockError;
}
/** Every copy of the value is gone and it can't be made again. */
export class ObjectLostError extends StingrayError {
  static override readonly code: ErrorCode = ErrorCode.ObjectLostError;
}
/** `detail`: `requested`, `used`, `capacity` in bytes. */
export class ObjectStoreFullError extends StingrayError {
  static override readonly code: ErrorCode = ErrorCode.ObjectStoreFullError;
  static override readonly retryable: boolean = true;
}
/** A value can't be sent. `detail.path` is where in the value, for example `args[0].model.onChange`. */
export class SerializationError extends StingrayError {
  static override readonly code: ErrorCode = ErrorCode.SerializationError;
}
/** A worker could not find, or found a different version of, the function or class that a task names. */
export class FunctionNotFoundError extends StingrayError {
  static override readonly code: ErrorCode = ErrorCode.FunctionNotFoundError;
}
/** No node can ever run this as the cluster stands, and the request does not allow waiting. */
export class UnschedulableError extends StingrayError {
  static override readonly code: ErrorCode = ErrorCode.UnschedulableError;
}
/** The environment of a worker could not be made: working directory, setup module, or a module that threw while loading. */
export class RuntimeEnvError extends StingrayError {
  static override readonly code: ErrorCode = ErrorCode.RuntimeEnvError;
}
/** Another live actor (or placement group) has that name in that namespace. `detail`: `actor` or `group`, and `job`. */
export class NameTakenError extends StingrayError {
  static override readonly code: ErrorCode = ErrorCode.NameTakenError;
}
/** The broker or a node can't be reached, or lacks what is needed (JetStream, a recent enough version). */
export class ConnectionError extends StingrayError {
  static override readonly code: ErrorCode = ErrorCode.ConnectionError;
  static override readonly retryable: boolean = true;
}
/** The broker refused the credentials, or the user lacks a permission. */
export class AuthError extends StingrayError {
  static override readonly code: ErrorCode = ErrorCode.AuthError;
}
/** The other side speaks another version, or sent something malformed. */
export class ProtocolError extends StingrayError {
  static override readonly code: ErrorCode = ErrorCode.ProtocolError;
}

/** Class by code: the one place that rebuilds errors from their codes. */
export const ERROR_CLASSES: ReadonlyMap<string, typeof StingrayError> = new Map(
  [
    StingrayError,
    NotInitializedError,
    InvalidArgumentError,
    InvalidOptionError,
    TimeoutError,
    GetTimeoutError,
    TaskTimeoutError,
    ActorNotFoundError,
    GroupNotFoundError,
    QueueFullError,
    QueueEmptyError,
    QueueClosedError,
    TaskError,
    TaskCancelledError,
    WorkerCrashedError,
    OutOfMemoryError,
    ActorDiedError,
    ActorUnavailableError,
    StaleEpochError,
    PendingCallsLimitError,
    DeadlockError,
    ObjectLostError,
    ObjectStoreFullError,
    SerializationError,
    FunctionNotFoundError,
    UnschedulableError,
    RuntimeEnvError,
    NameTakenError,
    ConnectionError,
    AuthError,
    ProtocolError,
  ].map((cls) => [cls.code, cls]),
);

/**
 * Name, message and stack of an error as plain text, whatever its getters do: what user code throws is its own affair,
 * but what is said about it must arrive.
 */
export function errorTexts(error: Error): { name: string; message: string; stack: string | undefined } {
  const read = (field: "name" | "message" | "stack"): string | undefined => {
    try {
      const value: unknown = error[field];
      return typeof value === "string" ? value : undefined;
    } catch {
      return undefined;
    }
  };
  return {
    name: read("name") ?? "Error",
    message: read("message") ?? "(its message can't be read)",
    stack: read("stack"),
  };
}

/** The error itself, or an `Error` made of whatever was thrown instead of one. */
export function toError(thrown: unknown): Error {
  if (thrown instanceof Error) return thrown;
  const text = typeof thrown === "string" ? thrown : `a value that is no Error was thrown: ${shown(thrown)}`;
  return new Error(text, { cause: thrown });
}

function shown(value: unknown): string {
  try {
    return inspect(value, { depth: 1, breakLength: Infinity }).slice(0, 200);
  } catch {
    return typeof value;
  }
}
