/** Calls of actors with a durable mailbox: as they are kept on the broker, and as they get to the actor and back. */
import {
  list,
  number,
  oneOf,
  optional,
  record,
  text,
  tuple,
  uint,
  bytes,
  type Check,
  type Checked,
} from "../check.js";
import { actorId, nodeId } from "./id-checks.js";
import { Op } from "./op.js";
import { argsCheck, taskRunOptions, type TaskRunOptions } from "./tasks.js";
import { valueDesc, type ValueDesc } from "./values.js";
import { wireErrorCheck, type WireError } from "./wire-error.js";

/** Calls in one kept message, at most. */
export const MAX_KEPT_CALLS = 10_000;
/** Longest id of a call, in UTF-16 units. */
export const MAX_CALL_ID = 256;
/** Between the id of a call and the number of a try after one that failed. */
export const RETRY_ID = " retry ";
const MAX_KEPT_ID = MAX_CALL_ID + 32;

/**
 * Numbers from here on are of calls that come at a time of their own, in no order with the others of their producer: only
 * their ids tell whether they came before.
 */
export const UNORDERED = 2 ** 52;

const callId: Check<string> = (value, at) => {
  const id = text(value, at);
  return id.length <= MAX_KEPT_ID ? id : text(undefined, `${at} (at most ${MAX_KEPT_ID} characters)`);
};

/**
 * `[number, call, method, args, returns, attempt, options, callId]`: a call as it is kept. `number` grows with each call that
 * the producer makes of this actor; `call` is its sequence number at its caller, of which the ids of its results are made.
 * `args` are values, never where values are: they must not need their caller.
 */
export type KeptCall = [
  number: number,
  call: number,
  method: string,
  args: Uint8Array | ValueDesc[],
  returns: number,
  attempt: number,
  options: TaskRunOptions | undefined,
  callId: string | undefined,
];
export const keptCall = tuple<KeptCall>(
  uint,
  uint,
  text,
  argsCheck(),
  number,
  uint,
  optional(taskRunOptions()),
  optional(callId),
);

/**
 * `[1, producer, node, calls]`: one message of the stream. `producer` is the process that made the calls and hears their
 * answers, on `node` where that is known; empty: nobody does, and `number` is 0 (reminders, which have ids).
 */
export type KeptBatch = [version: 1, producer: string, node: string | undefined, calls: KeptCall[]];
export const keptBatch = tuple<KeptBatch>(oneOf(1), text, optional(nodeId), list(keptCall, MAX_KEPT_CALLS));

/**
 * `[90, actor, epoch, revision, batch]` agent -> worker: a kept message, in the order of the stream, for this incarnation.
 * `revision`: its sequence number in the stream; `batch`: the encoded KeptBatch.
 */
export const mailboxFeed = tuple<[op: 90, actor: string, epoch: number, revision: number, batch: Uint8Array]>(
  oneOf(Op.MailboxFeed),
  actorId,
  uint,
  uint,
  bytes,
);
export type MailboxFeed = Checked<typeof mailboxFeed>;

/**
 * `[91, actor, epoch, taken, done]` worker -> agent: it has room for more, having begun all up to revision `taken`; up to
 * `done` all have ended, and a save that says so is stored: they are needed no more.
 */
export const mailboxTaken = tuple<[op: 91, actor: string, epoch: number, taken: number, done: number]>(
  oneOf(Op.MailboxTaken),
  actorId,
  uint,
  uint,
  uint,
);
export type MailboxTaken = Checked<typeof mailboxTaken>;

/** `[92, actor, numbers]` caller -> the incarnation that lives: stop these calls of mine, begun or not. Nobody answers it. */
export const mailboxCancel = tuple<[op: 92, actor: string, numbers: number[]]>(
  oneOf(Op.MailboxCancel),
  actorId,
  list(uint, MAX_KEPT_CALLS),
);
export type MailboxCancel = Checked<typeof mailboxCancel>;

/** `[number, call, status, results, tookUs, refs]`: how a call ended; `call` to `refs` are as in TaskDone. */
export type KeptAnswer = [
  number: number,
  call: number,
  status: 0 | 1 | 2 | 3 | 4,
  results: ValueDesc[],
  tookUs: number,
  refs: string[] | undefined,
];
export const keptAnswer = tuple<KeptAnswer>(
  uint,
  uint,
  oneOf(0, 1, 2, 3, 4),
  list(valueDesc, 100_000),
  number,
  optional(list(text)),
);

/** A call that was set aside: it made its process end again and again, or failed and nobody was there to hear it. */
export interface SetAsideCall {
  /** Names it among those of its actor. */
  id: string;
  method: string;
  /** The process that made it; empty: a reminder. */
  producer: string;
  callId?: string | undefined;
  /** How often it was begun. */
  tries: number;
  /** Why it was set aside; what the last try ended with. */
  error: WireError;
  /** When, in milliseconds since 1970 by the clock of the actor's node. */
  at: number;
}
export const setAsideCall = record<SetAsideCall>({
  id: text,
  method: text,
  producer: text,
  callId: optional(text),
  tries: uint,
  error: wireErrorCheck(),
  at: uint,
});
/** The same as it is kept, with the call itself. */
export type KeptAside = Checked<typeof keptAside>;
export const keptAside = tuple<[version: 1, view: SetAsideCall, call: KeptCall]>(
  oneOf(1),
  setAsideCall,
  keptCall,
);
