/** Reminders: calls that an actor with a durable mailbox gets at a time, also when nobody who set them lives any more. */
import { encode } from "@stingray/objectstore";
import {
  InvalidArgumentError,
  InvalidOptionError,
  REMINDER_RULES,
  Reminders,
  checkOptions,
  describe,
  type KeptCall,
  type LooseReminder,
  type Reminder,
  type ReminderTiming,
  type ReminderView,
} from "@stingray/protocol";
import { get, isObjectRef } from "@stingray/task";
import type { ActorReminders, Runtime } from "@stingray/task/internal";
import { handleParts } from "./api.js";
import type { ActorHandle } from "./handle-types.js";
import { otherMethods } from "./metadata.js";

/** Time for a reminder to be stored, also while the broker is away for a moment. Milliseconds. */
const SET_MS = 30_000;

/** The actor that a reminder is for. */
interface Reminded {
  readonly id: string;
  readonly className: string;
  readonly methods: readonly string[];
}

/**
 * The actor gets this call at its time: once (`delayMs`, `at`), or again and again (`everyMs`, `cron`). It outlives this
 * process, the actor's, agents and broker, and ends with the actor. One of the same name is replaced. Occurrences that
 * nobody could deliver, because all agents were down, are made up for by one.
 * @throws InvalidOptionError for a time that makes no sense, or an actor without a durable mailbox; InvalidArgumentError
 * for what is no method of it; SerializationError; ActorDiedError
 */
export async function setReminder<T>(handle: ActorHandle<T>, reminder: Reminder<T>): Promise<void> {
  const { runtime, actor } = await remindedBy(handle, "setReminder()");
  await set(runtime, actor, reminder, `setReminder(${actor.className})`);
}

/**
 * Takes a reminder back. Of one whose time has come the call may be on its way.
 * @returns whether there was one of that name
 */
export async function cancelReminder(handle: ActorHandle<unknown>, name: string): Promise<boolean> {
  const { runtime, actor } = await remindedBy(handle, "cancelReminder()");
  return cancel(runtime, actor, name);
}

/** The reminders of an actor, the next one first. */
export async function listReminders(handle: ActorHandle<unknown>): Promise<ReminderView[]> {
  const { runtime, actor } = await remindedBy(handle, "listReminders()");
  return list(runtime, actor);
}

/** The same inside the actor itself. */
export function ownReminders(runtime: Runtime, actor: Reminded): ActorReminders {
  return {
    set: (reminder) => set(runtime, actor, reminder, "context().setReminder()"),
    cancel: (name) => cancel(runtime, actor, name),
    list: () => list(runtime, actor),
  };
}

async function remindedBy(handle: unknown, where: string): Promise<{ runtime: Runtime; actor: Reminded }> {
  const { clients, client, methods } = handleParts(handle, where);
  await clients.claimAnswered(client);
  const { id, className, state } = client.current;
  if (state.kind === "dead") throw state.error;
  return { runtime: clients.processRuntime, actor: { id, className, methods: Object.keys(methods) } };
}

async function set(
  runtime: Runtime,
  { id, className, methods }: Reminded,
  reminder: LooseReminder,
  where: string,
): Promise<void> {
  if (reminder === undefined) throw new InvalidOptionError(`${where} takes a reminder, got undefined`);
  checkOptions(where, REMINDER_RULES, reminder);
  const { name, method, args = [], delayMs, at, everyMs, cron, timeZone } = reminder;
  if (name === undefined || method === undefined)
    throw new InvalidOptionError(`${where}: a reminder needs a name and a method`);
  if (!methods.includes(method))
    throw new InvalidArgumentError(
      `${where}: actor ${className} has no method "${method}" that can be called; ${otherMethods(method, methods)}`,
    );
  const values = await runtime.during(valuesOf(args));
  const encoded = encode(values, { path: "args" });
  const call: KeptCall = [0, 0, method, encoded.bytes(), 1, 0, undefined, undefined];
  const timing: ReminderTiming = {
    delayMs,
    at: at instanceof Date ? at.getTime() : at,
    everyMs,
    cron,
    timeZone,
  };
  await runtime.during(
    runtime.home.request(Reminders.set, { actor: id, name, call, timing }, { timeoutMs: SET_MS }),
  );
}

async function cancel(runtime: Runtime, { id }: Reminded, name: string): Promise<boolean> {
  if (typeof name !== "string")
    throw new InvalidArgumentError(`cancelReminder() takes the name of a reminder, got ${describe(name)}`);
  const asked = runtime.home.request(Reminders.cancel, { actor: id, name }, { timeoutMs: SET_MS });
  return (await runtime.during(asked)).found;
}

async function list(runtime: Runtime, { id }: Reminded): Promise<ReminderView[]> {
  const asked = runtime.home.request(Reminders.list, { actor: id }, { timeoutMs: SET_MS });
  return (await runtime.during(asked)).reminders;
}

/** A reminder outlives its maker, so it holds values where a call may hold references to them. */
function valuesOf(args: readonly unknown[]): Promise<unknown[]> {
  return Promise.all(args.map((arg) => (isObjectRef(arg) ? get(arg) : arg)));
}
