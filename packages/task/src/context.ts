/** What code inside a task or actor can ask about itself, and the bookkeeping of tasks that wait. */
import { AsyncLocalStorage } from "node:async_hooks";
import type {
  ActorId,
  AnyActor,
  JobId,
  LooseReminder,
  NodeId,
  ProcessId,
  Reminder,
  ReminderView,
  TaskId,
} from "@stingray/protocol";
import type { DependencyContainer } from "tsyringe";
import { runtimeFor } from "./process-state.js";

/** What a wait is for. */
export interface WaitsFor {
  /** The tasks and calls that have not ended, as far as is known. */
  tasks(): TaskId[];
  /** How many of these must end for the wait to be over. */
  needs(): number;
  /** It also ends by itself: it has a time limit, or a signal. */
  readonly limited: boolean;
}

/** One run of a task or actor call in this process. */
export interface Execution {
  readonly taskId: TaskId;
  readonly name: string;
  readonly resources: Readonly<Record<string, number>>;
  readonly gpuIds: readonly number[];
  /** Aborts when the task is cancelled or out of time. */
  readonly abort: AbortController;
  /** True once it was cancelled, also while it never yields. */
  isCancelled(): boolean;
  /** It awaits values: its place may be used by others until `resume`, which is given the same. */
  block(wait?: WaitsFor): void;
  resume(wait?: WaitsFor): void;
  readonly actor?: ActorExecution | undefined;
  /** The placement group that what it submits goes to, unless that says otherwise. */
  readonly capture?: string | undefined;
}

export interface ActorExecution {
  readonly id: ActorId;
  readonly epoch: number;
  /** As in {@link Execution}. */
  readonly capture: string | undefined;
  /** What `exit` threw: the call that lets it through fails with it as it is. */
  readonly exitError: Error | undefined;
  exit(): never;
  saveSnapshot(): Promise<void>;
  /** Those of the actor. */
  readonly reminders: ActorReminders;
}

/** Reminders of the actor that asks. */
export interface ActorReminders {
  set(reminder: LooseReminder): Promise<void>;
  cancel(name: string): Promise<boolean>;
  list(): Promise<ReminderView[]>;
}

const current = new AsyncLocalStorage<Execution>();

export function runIn<T>(execution: Execution, body: () => T): T {
  return current.run(execution, body);
}

/** The execution that the running code belongs to; undefined in a driver's own code. */
export function currentExecution(): Execution | undefined {
  return current.getStore();
}

/** What `context()` returns. Fields of tasks and actors are undefined elsewhere. */
export interface Context {
  /** Of the run of the driver that this works for. */
  readonly jobId: JobId;
  /** Where this runs; undefined in a driver without a node on its machine. */
  readonly nodeId: NodeId | undefined;
  /** The process, driver or worker. */
  readonly workerId: ProcessId;
  /** Of the task or the call. */
  readonly taskId: TaskId | undefined;
  /** Of the actor whose method this is. */
  readonly actorId: ActorId | undefined;
  /** Grows with each incarnation of the actor. */
  readonly actorEpoch: number | undefined;
  /** Of named actors, unless another is given. */
  readonly namespace: string;
  /** What the task or actor was given, for example `{ CPU: 1 }`. */
  readonly resources: Readonly<Record<string, number>>;
  /**
   * Numbers of its GPUs, as in CUDA_VISIBLE_DEVICES. Where that has UUIDs (parts of GPUs, see MIG): their places in the
   * list of the node, from 0.
   */
  readonly gpuIds: readonly number[];
  /** Aborts when the task is cancelled. In a driver's own code it never does. */
  readonly signal: AbortSignal;
  /**
   * True once the task was cancelled; in a task on the machine of its submitter also inside a loop that never yields.
   * Calls of actors learn of it when they yield.
   */
  isCancelled(): boolean;
  /**
   * Ends the actor that runs this, after this call; it is not restarted. Throws, so that nothing after it runs.
   * @throws TypeError outside of actors
   */
  exitActor(): never;
  /**
   * Saves what the actor's `snapshot()` gives now, for the `restore` of its next incarnation; resolves once it is stored.
   * With a durable mailbox state is saved after the calls by itself.
   * @throws TypeError outside of actors; InvalidArgumentError where the class has not both methods, the mailbox is
   * durable, or the state is larger than 64 MiB; TaskError with what `snapshot` threw; SerializationError; StaleEpochError
   */
  saveSnapshot(): Promise<void>;
  /**
   * As `setReminder`, for the actor that runs this; with its class as type argument, method and arguments are checked.
   * @throws as that; TypeError outside of actors
   */
  setReminder<T = AnyActor>(reminder: Reminder<T>): Promise<void>;
  /** As `cancelReminder`. @throws TypeError outside of actors */
  cancelReminder(name: string): Promise<boolean>;
  /** As `listReminders`. @throws TypeError outside of actors */
  listReminders(): Promise<ReminderView[]>;
  /** The worker's container, filled by the job's setup module. */
  readonly container: DependencyContainer;
}

const never = new AbortController().signal;

/**
 * About the running task or actor call and its process.
 * @throws NotInitializedError before `init()`
 */
export function context(): Context {
  const runtime = runtimeFor("context()");
  const execution = current.getStore();
  const needActor = (what: string): ActorExecution => {
    if (execution?.actor === undefined)
      throw new TypeError(`${what} can only be called inside a method of an actor`);
    return execution.actor;
  };
  return {
    jobId: runtime.job.job as JobId,
    nodeId: runtime.node,
    workerId: runtime.process,
    taskId: execution?.taskId,
    actorId: execution?.actor?.id,
    actorEpoch: execution?.actor?.epoch,
    namespace: runtime.job.namespace,
    resources: execution?.resources ?? {},
    gpuIds: execution?.gpuIds ?? [],
    signal: execution?.abort.signal ?? never,
    isCancelled: () => execution?.isCancelled() ?? false,
    exitActor: () => needActor("exitActor()").exit(),
    setReminder: (reminder) => needActor("setReminder()").reminders.set(reminder),
    cancelReminder: (name) => needActor("cancelReminder()").reminders.cancel(name),
    listReminders: () => needActor("listReminders()").reminders.list(),
    saveSnapshot: () => needActor("saveSnapshot()").saveSnapshot(),
    get container() {
      return runtime.container();
    },
  };
}
