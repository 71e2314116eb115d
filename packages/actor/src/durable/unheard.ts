/**
 * Answers that their callers have not heard, as far as is known: kept until they were, so that a restart loses none. Of
 * those for which there is no room only is kept that they are owed. Pure: no clocks, no I/O.
 */
import { encodeThrown } from "@stingray/task/internal";
import {
  ObjectLostError,
  TaskStatus,
  ValueKind,
  keptAnswer,
  list,
  optional,
  text,
  tuple,
  uint,
  type Check,
  type KeptAnswer,
} from "@stingray/protocol";

/** While so many were not heard no further call begins: what is saved stays bounded. */
export const MOST_UNHEARD = 10_000;
/** Answers up to this size are kept until they were heard, so many bytes of them in all. */
const MAX_ANSWER = 16 * 1024;
const MAX_ANSWERS = 128 * 1024;
/** Bytes for what is known of lost answers, about; where that is too little, the oldest are given up. */
const MAX_LOST = 160 * 1024;
/** Of each range of them, and of each process. */
const RANGE_BYTES = 16;
const PROCESS_BYTES = 64;
/** Processes of which is known that they can't be reached. */
const MOST_GONE = 1_000;

/** An answer that was not heard yet, as far as is known. */
export interface OpenAnswer {
  readonly producer: string;
  readonly node: string | undefined;
  /** Of a lost one only the numbers count: {@link answerOf} says the rest. */
  readonly answer: KeptAnswer;
  /** The call has run; what it gave is gone. */
  readonly lost?: boolean | undefined;
}

/** `count` calls with consecutive numbers, and consecutive sequence numbers at their caller. */
type LostRange = [number: number, call: number, count: number];
/** `goneAt`: since when the process can't be reached, in milliseconds since 1970; 0: it can, as far as is known. */
export type UnheardRow = [
  producer: string,
  node: string | undefined,
  answers: KeptAnswer[],
  lost: LostRange[],
  goneAt: number,
];
export const unheardRow: Check<UnheardRow> = tuple<UnheardRow>(
  text,
  optional(text),
  list(keptAnswer, 100_000),
  list(tuple<LostRange>(uint, uint, uint), 100_000),
  uint,
);

export class UnheardAnswers {
  /** Oldest first. */
  private readonly open = new Map<string, OpenAnswer>();
  private readonly gone = new Map<string, number>();

  restore(rows: readonly UnheardRow[]): void {
    for (const [producer, node, answers, lost, goneAt] of rows) {
      const all = answers.map((answer): OpenAnswer => ({ producer, node, answer }));
      for (const [first, call, count] of lost)
        for (let i = 0; i < count; i++) all.push(lostAnswer(producer, node, first + i, call + i));
      all.sort((one, other) => one.answer[0] - other.answer[0]);
      for (const one of all) this.add(one);
      if (goneAt > 0) this.gone.set(producer, goneAt);
    }
  }

  rows(): UnheardRow[] {
    const rows = new Map<string, UnheardRow>();
    let bytes = 0;
    let lostBytes = 0;
    // The newest first: where not all have room, those that were not heard for long are given up.
    for (const { producer, node, answer, lost } of [...this.open.values()].reverse()) {
      const known = rows.get(producer);
      const row: UnheardRow = known ?? [producer, node, [], [], this.gone.get(producer) ?? 0];
      const size = sizeOf(answer);
      if (lost !== true && size <= MAX_ANSWER && bytes + size <= MAX_ANSWERS) {
        bytes += size;
        row[2].push(answer);
      } else if (!extend(row[3].at(-1), answer)) {
        const cost = RANGE_BYTES + (known === undefined ? PROCESS_BYTES : 0);
        if (lostBytes + cost > MAX_LOST) continue;
        lostBytes += cost;
        row[3].push([answer[0], answer[1], 1]);
      }
      rows.set(producer, row);
    }
    for (const [, , answers, lost] of rows.values()) {
      answers.reverse();
      lost.reverse();
    }
    return [...rows.values()].reverse();
  }

  add(answer: OpenAnswer): void {
    this.open.set(keyOf(answer.producer, answer.answer[0]), answer);
  }

  /** It was heard, or nobody is there to hear it. */
  remove(producer: string, number: number): void {
    this.open.delete(keyOf(producer, number));
  }

  get size(): number {
    return this.open.size;
  }

  all(): OpenAnswer[] {
    return [...this.open.values()];
  }

  /** Since when the process can't be reached, in milliseconds since 1970; undefined where it can, as far as is known. */
  goneAt(producer: string): number | undefined {
    return this.gone.get(producer);
  }

  setGone(producer: string, at: number | undefined): void {
    this.gone.delete(producer);
    if (at === undefined) return;
    this.gone.set(producer, at);
    const [oldest] = this.gone.keys();
    if (this.gone.size > MOST_GONE && oldest !== undefined) this.gone.delete(oldest);
  }
}

const keyOf = (producer: string, number: number): string => `${producer}/${number}`;

/** Puts the call before those of the range, where it is the one before. */
function extend(range: LostRange | undefined, [number, call]: KeptAnswer): boolean {
  if (range === undefined || range[0] !== number + 1 || range[1] !== call + 1) return false;
  range[0] = number;
  range[1] = call;
  range[2]++;
  return true;
}

/** Bytes that it has in a row, about. */
export function sizeOf([, , , results]: KeptAnswer): number {
  return results.reduce((sum, desc) => sum + (desc[0] === 0 || desc[0] === 2 ? desc[1].byteLength : 200), 64);
}

/** That the call has run, for a caller that can't be told how it ended. */
export function lostAnswer(
  producer: string,
  node: string | undefined,
  number: number,
  call: number,
): OpenAnswer {
  return { producer, node, lost: true, answer: [number, call, TaskStatus.Failed, [], 0, undefined] };
}

/** What the caller is told. */
export function answerOf({ answer, lost }: OpenAnswer): KeptAnswer {
  if (lost !== true) return answer;
  const [number, call] = answer;
  return [number, call, TaskStatus.Failed, [[ValueKind.Error, LOST]], 0, undefined];
}
const LOST = encodeThrown(
  new ObjectLostError(
    "the call has run, and its result is lost: it did not get to its caller before the process of the actor ended, and it was " +
      "not among those that are kept for that (the newest 128 KiB of an actor, each up to 16 KiB), or lay in the store of that process: " +
      "ask the actor what the call has done",
  ),
);
