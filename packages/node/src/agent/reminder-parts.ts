/** How reminders are put together: set and listed at any agent, delivered by the one that has the controller role. */
import type { ReminderRow } from "@stingray/gcs-kv";
import {
  MachineClock,
  ReminderBook,
  ReminderRunner,
  VirtualClock,
  checkLater,
  type ReminderClock,
} from "@stingray/mailbox";
import {
  ActorDiedError,
  Clock,
  InvalidArgumentError,
  InvalidOptionError,
  Mailbox,
  Reminders,
  StingrayError,
  TaskStatus,
  ValueKind,
  decodeError,
  type ActorSpec,
  type NodeId,
  type ProcessId,
  type KeptAnswer,
  type KeptCall,
  type ReminderTiming,
  type SerializationError,
} from "@stingray/protocol";
import { encodeThrown } from "@stingray/task/internal";
import { describe } from "../controller/actor-directory.js";
import * as t from "./tokens.js";

/** Other agents may take so long to have their clocks go on. Milliseconds. */
const ADVANCE_MS = 30_000;
/** A caller may take so long to hear how its call ended. Milliseconds. */
const ANSWER_MS = 10_000;
/** Between tries to read the table, in milliseconds. */
const AGAIN_MS = 1_000;

/** The machine's clock, or one that stands still at a time until tests have it go on. */
export function reminderClock(startsAt: number | undefined): ReminderClock {
  return startsAt === undefined ? new MachineClock() : new VirtualClock(startsAt);
}

export function provideReminders(provide: t.Provide): void {
  provide(t.CLOCK, (of) => reminderClock(of(t.CONFIG).clock));
}

async function openBook(get: t.Get): Promise<ReminderBook> {
  return new ReminderBook(await get(t.TABLES).store.table("reminders"), get(t.CLOCK));
}

/** The actor is dead: nothing comes any more. */
export async function dropReminders(get: t.Get, spec: ActorSpec): Promise<void> {
  if (spec.durable === true) await (await openBook(get)).drop(spec.actor);
}

export function serveReminders(get: t.Get): void {
  const { inbox } = get(t.TRANSPORT);
  inbox.serve(Reminders.set, async ({ actor, name, call, timing: given, answer, waitedMs }, channel) => {
    const spec = await liveSpec(get, actor);
    if (spec.durable !== true)
      throw new InvalidOptionError(
        `${describe(spec)} has no durable mailbox, which reminders and delayed calls need: create it with mailbox: "durable"`,
      );
    const { process, node, endpoint } = channel.peer;
    const producer = answer === true ? { id: process ?? endpoint, node } : undefined;
    checkLater(get(t.MAILBOX_LOG).limit, producer ?? { id: "", node: undefined }, call);
    const book = await openBook(get);
    const timing = remaining(given, get(t.CLOCK).virtual ? 0 : (waitedMs ?? 0));
    const nextAt = await book.set({ actor, job: spec.job, name, call, timing, producer });
    // It may have died while this was written; nothing of it may stay.
    try {
      await liveSpec(get, actor);
    } catch (error) {
      await book.drop(actor);
      throw error;
    }
    return { nextAt };
  });
  inbox.serve(Reminders.cancel, async ({ actor, name }) => ({
    found: await (await openBook(get)).cancel(actor, name),
  }));
  inbox.serve(Reminders.list, async ({ actor }) => ({ reminders: await (await openBook(get)).list(actor) }));
  serveClock(get);
}

function serveClock(get: t.Get): void {
  const { inbox } = get(t.TRANSPORT);
  const clock = get(t.CLOCK);
  const moving = (): VirtualClock => {
    if (clock instanceof VirtualClock) return clock;
    throw new InvalidArgumentError(
      "the agents of this cluster go by the clock of their machines, which nobody can advance: start them with a virtual one",
    );
  };
  inbox.serve(Clock.read, () => ({ now: clock.now(), virtual: clock.virtual }));
  inbox.serve(Clock.advanceTo, async ({ now }) => {
    await moving().advanceTo(now);
    return {};
  });
  inbox.serve(Clock.advance, async ({ ms }) => {
    const now = moving().now() + ms;
    const peers = get(t.PEERS);
    const { node: own } = get(t.CONFIG);
    const others = get(t.VIEW)
      .facts()
      .filter(({ node }) => node !== own);
    const asked = others.map(({ agent, node }) =>
      peers.channel(agent, node).request(Clock.advanceTo, { now }, { timeoutMs: ADVANCE_MS }),
    );
    const outcomes = await Promise.allSettled([moving().advanceTo(now), ...asked]);
    for (const outcome of outcomes)
      if (outcome.status === "rejected") get(t.FAILED)("have a clock go on", outcome.reason);
    return { now };
  });
}

/** While this agent has the controller role. */
export async function runReminders(get: t.Get, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      const table = await get(t.TABLES).store.table("reminders");
      const hooks = {
        deliver: async (row: ReminderRow, call: KeptCall): Promise<void> => {
          const wanted = (): boolean => !signal.aborted;
          const producer = { id: row.producer, node: row.node as NodeId | undefined, wanted };
          const [refused] = await get(t.MAILBOXES).append(row.actor, producer, [call]);
          if (refused !== undefined) throw decodeError(refused[1]);
        },
        refused: async (row: ReminderRow, call: KeptCall, error: SerializationError): Promise<void> => {
          const { producer, node, actor, name } = row;
          if (producer === "") {
            get(t.FAILED)(`deliver the reminder "${name}" of actor ${actor}, which was removed`, error);
            return;
          }
          const failed: KeptAnswer = [
            call[0],
            call[1],
            TaskStatus.Failed,
            [[ValueKind.Error, encodeThrown(error)]],
            0,
            undefined,
          ];
          try {
            await get(t.PEERS)
              .channel(producer as ProcessId, node as NodeId | undefined)
              .request(Mailbox.answers, { actor, answers: [failed] }, { timeoutMs: ANSWER_MS });
          } catch (unheard) {
            get(t.FAILED)(`tell ${producer} that its delayed call can't be kept: ${error.message}`, unheard);
          }
        },
        isGone: async (actor: string): Promise<boolean> => {
          const entry = get(t.ACTOR_BOOK).get(actor) ?? (await get(t.ACTOR_BOOK).fetch(actor));
          return entry === undefined || entry.value.state === "DEAD";
        },
        failed: get(t.FAILED),
      };
      await ReminderRunner.run(table, get(t.CLOCK), hooks, signal);
    } catch (error) {
      if (signal.aborted) return;
      get(t.FAILED)("look after the reminders (it is tried again)", error);
      await new Promise((later) => setTimeout(later, AGAIN_MS).unref());
    }
  }
}

/** Without what of the delay is over already. */
function remaining(timing: ReminderTiming, waitedMs: number): ReminderTiming {
  if (timing.delayMs === undefined || waitedMs === 0) return timing;
  return { ...timing, delayMs: Math.max(0, timing.delayMs - waitedMs) };
}

/** @throws ActorDiedError where it is dead or nobody knows it */
async function liveSpec(get: t.Get, actor: string): Promise<ActorSpec> {
  const row = (await get(t.ACTOR_BOOK).fetch(actor))?.value;
  if (row !== undefined && row.state !== "DEAD") return row.spec;
  const cause = row?.cause === undefined ? undefined : decodeError(row.cause);
  throw new ActorDiedError(
    `${row === undefined ? `actor ${actor}` : describe(row.spec)} is dead${cause instanceof StingrayError ? `: ${cause.message}` : ""}: it gets no reminders any more`,
    { cause, detail: { actor } },
  );
}
