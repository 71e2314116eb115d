/**
 * Which ids of calls were used: of all calls with an id one runs. The last 10,000 that have ended are remembered, by 64 bits
 * of their hash, and the answers of the last thousand as far as they are small.
 */
import { createHash } from "node:crypto";
import { decodeThrown, encodeThrown } from "@stingray/task/internal";
import {
  ValueKind,
  bytes,
  decodeError,
  encodeError,
  keptAnswer,
  list,
  tuple,
  uint,
  type Check,
  type KeptAnswer,
  type WireError,
} from "@stingray/protocol";

/** Ids that are remembered. */
export const MOST_IDS = 10_000;
/** Answers that are remembered with them; bytes of one, and of all. */
const MOST_ANSWERS = 1_000;
const MAX_ANSWER = 1_024;
const MAX_ANSWERS = 64 * 1024;
const HASH_BYTES = 8;
/** Characters of the message of an error, and of that of its cause. */
const MAX_MESSAGE = 256;

/** Hashes one behind the other, oldest first, and the answers of some by their index. */
export type RememberedIds = [hashes: Uint8Array, answers: [index: number, answer: KeptAnswer][]];
export const rememberedIds: Check<RememberedIds> = tuple<RememberedIds>(
  bytes,
  list(tuple<[index: number, answer: KeptAnswer]>(uint, keptAnswer), MOST_IDS),
);

interface Known {
  readonly done: boolean;
  readonly answer: KeptAnswer | undefined;
}
const OPEN: Known = { done: false, answer: undefined };
const DONE: Known = { done: true, answer: undefined };

export class CallIds {
  private readonly open = new Set<string>();
  /** By hash, oldest first. */
  private readonly done = new Map<string, Known>();
  /** The same of those that have an answer, with its size in bytes. */
  private readonly answered = new Map<string, number>();
  private answerBytes = 0;

  restore([hashes, answers]: RememberedIds): void {
    const all = Buffer.from(hashes).toString("latin1");
    const keys: string[] = [];
    for (let at = 0; at < all.length; at += HASH_BYTES) keys.push(all.slice(at, at + HASH_BYTES));
    for (const key of keys) this.done.set(key, DONE);
    for (const [index, answer] of answers) {
      const key = keys[index];
      if (key !== undefined) this.remember(key, answer);
    }
  }

  rows(): RememberedIds {
    const answers: [number, KeptAnswer][] = [];
    let index = 0;
    for (const { answer } of this.done.values()) {
      if (answer !== undefined) answers.push([index, answer]);
      index++;
    }
    return [Buffer.from([...this.done.keys()].join(""), "latin1"), answers];
  }

  get(id: string): Known | undefined {
    const key = hashOf(id);
    return this.open.has(key) ? OPEN : this.done.get(key);
  }

  begin(id: string): void {
    this.open.add(hashOf(id));
  }

  /** It never began: the next with this id runs. */
  forget(id: string): void {
    this.open.delete(hashOf(id));
  }

  end(id: string, answer: KeptAnswer): void {
    const key = hashOf(id);
    this.open.delete(key);
    this.done.set(key, DONE);
    this.remember(key, shortened(answer));
    for (const oldest of this.done.keys()) {
      if (this.done.size <= MOST_IDS) break;
      this.forgetAnswer(oldest);
      this.done.delete(oldest);
    }
  }

  private remember(key: string, answer: KeptAnswer): void {
    const size = sizeOf(answer);
    if (size > MAX_ANSWER) return;
    this.done.set(key, { done: true, answer });
    this.answered.set(key, size);
    this.answerBytes += size;
    for (const oldest of this.answered.keys()) {
      if (this.answered.size <= MOST_ANSWERS && this.answerBytes <= MAX_ANSWERS) break;
      this.forgetAnswer(oldest);
    }
  }

  private forgetAnswer(key: string): void {
    const size = this.answered.get(key);
    if (size === undefined) return;
    this.answered.delete(key);
    this.answerBytes -= size;
    this.done.set(key, DONE);
  }
}

function hashOf(id: string): string {
  return createHash("sha256").update(id).digest().subarray(0, HASH_BYTES).toString("latin1");
}

/** An error says what happened, but not where: a stack would leave no room for others. */
function shortened(answer: KeptAnswer): KeptAnswer {
  const [number, call, status, [first], tookUs, refs] = answer;
  if (first?.[0] !== ValueKind.Error) return answer;
  const error = decodeError(shortError(encodeError(decodeThrown(first[1])), true));
  return [number, call, status, [[ValueKind.Error, encodeThrown(error)]], tookUs, refs];
}

function shortError({ code, message, name, cause }: WireError, withCause: boolean): WireError {
  const short = message.length <= MAX_MESSAGE ? message : `${message.slice(0, MAX_MESSAGE - 1)}\u2026`;
  const error: WireError = { code, message: short, stack: `${name ?? code}: ${short}` };
  if (name !== undefined) error.name = name;
  if (withCause && cause !== undefined) error.cause = shortError(cause, false);
  return error;
}

/** Of a value that lies in a store only its caller knows where: such an answer is not remembered. */
function sizeOf([, , , results]: KeptAnswer): number {
  return results.reduce(
    (sum, desc) => sum + (desc[0] === 0 || desc[0] === 2 ? desc[1].byteLength : Number.POSITIVE_INFINITY),
    48,
  );
}
