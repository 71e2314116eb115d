import type { InitOptions } from "stingray";
import { StingrayError, TimeoutError } from "@stingray/protocol";
import type { Measured, Subject } from "../measure.js";
import type { Row } from "../report.js";

/** One case of the suite. */
export interface ObjectCase {
  name: string;
  unit: string;
  better: "higher" | "lower";
  /** What was asked for against the subjects beside ours. */
  reach?: Record<string, number>;
  /** What was asked for in the unit of the case. */
  target?: number;
  note?: string;
  /** Ours. It is prepared by its warm-up, in a running cluster. */
  ours(): Subject;
  /** What plain Node does with the same bytes. */
  beside?(): Subject[];
  /** Rows that the same rounds give beside the case's own. */
  more?(measured: Measured): Row[];
}

/** Cases that share a cluster. */
export interface ObjectGroup {
  /** How the cluster is started; undefined where each case has one of its own. */
  cluster: InitOptions | undefined;
  cases: readonly ObjectCase[];
}

/** The longest time that one step of a case may take beyond its seconds, in milliseconds. */
const STEP_DEADLINE_MS = 90_000;
/** What each wait of a case for one large value may take, in milliseconds. */
export const WAIT = { timeoutMs: 60_000 } as const;

/** The same subject, none of whose steps takes forever. */
export function withDeadline(subject: Subject, deadlineMs: number = STEP_DEADLINE_MS): Subject {
  const limit = async <T>(what: string, work: Promise<T>, seconds: number): Promise<T> => {
    const ms = deadlineMs + seconds * 1000;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(
        () => reject(new TimeoutError(`${subject.name} was given up: ${what} was not over after ${ms} ms`)),
        ms,
      );
    });
    try {
      return await Promise.race([work, late]);
    } finally {
      clearTimeout(timer);
    }
  };
  return {
    name: subject.name,
    warmUp: (seconds) => limit("its warm-up", subject.warmUp(seconds), seconds),
    round: (seconds) => limit("a round", subject.round(seconds), seconds),
    end: () => limit("its end", subject.end(), 0),
  };
}

/** Something that the subjects of a case share: made when the first wants it, dropped when one ends. */
export class Shared<T> {
  #value: T | undefined;
  readonly #make: () => T;

  constructor(make: () => T) {
    this.#make = make;
  }

  get(): T {
    return (this.#value ??= this.#make());
  }

  drop(): void {
    this.#value = undefined;
  }
}

/** For what a case was promised to find. */
export function must<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new StingrayError(`${what} is missing`);
  return value;
}
