/** What must hold in every history of calls. Pure: the same history gives the same verdict. */
import type { CallName, CallTerms, HistoryEvent } from "./history.js";

/**
 * - `order`: calls of one caller run in the order of submission, in each incarnation and over all of them
 * - `once`: no call runs twice in one incarnation, nor at all without retries
 * - `late-incarnation`: nothing runs in an incarnation after a later one has begun
 * - `own-answer`: a call is answered with its own result, whole and in order, after it ran
 * - `one-end`: each call of a caller that left has ended once
 * - `hopeless`: a call with a failed argument does not run
 * - `unknown`: nothing runs or ends that was not submitted
 */
export type HistoryRule =
  "order" | "once" | "late-incarnation" | "own-answer" | "one-end" | "hopeless" | "unknown";

/** One thing that should not have happened. */
export interface HistoryViolation {
  readonly rule: HistoryRule;
  /** What happened to which call, for people. */
  readonly message: string;
}

interface Call {
  readonly name: CallName;
  readonly terms: CallTerms;
  /** Incarnations in which it ran, in order. */
  readonly runs: number[];
  ends: number;
}

/** Looks at a whole history. @returns what is wrong with it, in the order in which it happened; empty if all is well */
export function checkHistory(events: Iterable<HistoryEvent>): HistoryViolation[] {
  const check = new Check();
  for (const event of events) check.next(event);
  check.end();
  return check.violations;
}

class Check {
  readonly violations: HistoryViolation[] = [];
  private readonly calls = new Map<string, Call>();
  /** Of each actor, the last incarnation that ran something. */
  private readonly latest = new Map<string, number>();
  /** By caller, actor and lane: the highest number that ran at all, and in the incarnation that is under way. */
  private readonly first = new Map<string, number>();
  private readonly within = new Map<string, { incarnation: number; n: number }>();
  private readonly left = new Set<string>();

  next(event: HistoryEvent): void {
    switch (event.event) {
      case "submitted":
        this.calls.set(keyOf(event), { name: event, terms: event, runs: [], ends: 0 });
        return;
      case "began":
        return this.began(event, event.incarnation);
      case "answered":
        return this.answered(event, event.of, event.items);
      case "failed":
        this.ended(event);
        return;
      case "left":
        this.left.add(event.caller);
    }
  }

  private began(name: CallName, incarnation: number): void {
    const latest = this.latest.get(name.actor) ?? -Infinity;
    if (incarnation < latest)
      this.wrong("late-incarnation", name, `ran in incarnation ${incarnation} after ${latest} had begun`);
    this.latest.set(name.actor, Math.max(latest, incarnation));
    const call = this.known(name, "ran");
    if (call === undefined) return;
    const { retried = false, repeated = false, lane = "", hopeless = false } = call.terms;
    if (hopeless) this.wrong("hopeless", name, "ran although one of its arguments failed");
    if (call.runs.includes(incarnation) && !repeated)
      this.wrong("once", name, `ran twice in incarnation ${incarnation}`);
    else if (call.runs.length > 0 && !retried && !repeated)
      this.wrong("once", name, `ran again in incarnation ${incarnation}, without retries`);
    this.checkOrder(call, JSON.stringify([name.caller, name.actor, lane]), incarnation);
    call.runs.push(incarnation);
  }

  private checkOrder(call: Call, lane: string, incarnation: number): void {
    const { name, runs } = call;
    // A repetition comes when it comes: only the first run in an incarnation has a place in the order.
    if (runs.includes(incarnation)) return;
    const before = this.within.get(lane);
    const same = before?.incarnation === incarnation ? before.n : -1;
    const ever = runs.length === 0 ? (this.first.get(lane) ?? -1) : -1;
    if (same > name.n) this.wrong("order", name, `ran after ${same} in incarnation ${incarnation}`);
    else if (ever > name.n)
      this.wrong("order", name, `first ran after ${ever} had in an earlier incarnation`);
    this.within.set(lane, { incarnation, n: Math.max(same, name.n) });
    this.first.set(lane, Math.max(this.first.get(lane) ?? -1, name.n));
  }

  private answered(name: CallName, of: CallName, items: readonly number[] | undefined): void {
    if (keyOf(of) !== keyOf(name)) this.wrong("own-answer", name, `got the answer of ${textOf(of)}`);
    const wrongAt = items?.findIndex((item, i) => item !== i) ?? -1;
    if (wrongAt >= 0) this.wrong("own-answer", name, `got item ${items?.[wrongAt]} in place of ${wrongAt}`);
    const call = this.ended(name);
    if (call !== undefined && call.runs.length === 0)
      this.wrong("own-answer", name, "was answered without having run");
  }

  private ended(name: CallName): Call | undefined {
    const call = this.known(name, "ended");
    if (call === undefined) return undefined;
    if (++call.ends > 1) this.wrong("one-end", name, `ended ${call.ends} times`);
    return call;
  }

  private known(name: CallName, what: string): Call | undefined {
    const call = this.calls.get(keyOf(name));
    if (call === undefined) this.wrong("unknown", name, `${what} and was never submitted`);
    return call;
  }

  end(): void {
    for (const { name, ends } of this.calls.values())
      if (ends === 0 && this.left.has(name.caller))
        this.wrong("one-end", name, "never ended, although its caller did");
  }

  private wrong(rule: HistoryRule, name: CallName, what: string): void {
    this.violations.push({ rule, message: `${textOf(name)} ${what}` });
  }
}

const keyOf = ({ caller, actor, n }: CallName): string => JSON.stringify([caller, actor, n]);
const textOf = ({ caller, actor, n }: CallName): string => `call ${n} of ${actor} by ${caller}`;
