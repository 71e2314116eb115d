/**
 * Calls of an actor that wait for themselves: A awaits B, which awaits a call of A, which waits until the first has
 * ended. While calls of an actor wait for values and others for their turn, it is found out who waits for whom; one call
 * of each circle fails, so that the others can go on.
 */
import { DeadlockError } from "@stingray/protocol";
import type { IncomingCall } from "@stingray/task/internal";
import type { HeldUp, Mailbox } from "../mailbox.js";
import { surveyOf, type Asked } from "./survey.js";
import { cycleThrough, stuckIn, victimWith, type WaitGraph } from "./wait-graph.js";

/** Pauses between looks: the first is soon, since a circle never opens by itself. Milliseconds. */
const FIRST_MS = 10;
const LONGEST_MS = 500;
/** Pauses are so many times as long as the last look took, if that is not above the longest. */
const SHARE = 10;

export class Deadlocks {
  private timer: NodeJS.Timeout | undefined;
  private pauseMs = FIRST_MS;
  private least = FIRST_MS;
  /** Calls that wait for values. */
  private waiting = 0;
  private looking = false;
  /** Something has come to wait during a look. */
  private missed = false;
  private stopped = false;

  /** @param fail ends a queued call */
  constructor(
    private readonly mailbox: Mailbox,
    private readonly asked: Asked,
    private readonly fail: (call: IncomingCall, error: DeadlockError) => void,
  ) {}

  /** A call waits for values. */
  blocked(): void {
    this.waiting++;
    this.soon();
  }
  resumed(): void {
    this.waiting--;
  }
  /** A call has come. */
  came(): void {
    if (this.waiting > 0 && this.mailbox.queued > 0) this.soon();
  }
  stop(): void {
    this.stopped = true;
    clearTimeout(this.timer);
  }

  /** Something is new. */
  private soon(): void {
    this.missed = this.looking;
    if (this.looking || this.stopped) return;
    if (this.timer !== undefined && this.pauseMs <= this.least) return;
    this.pauseMs = this.least;
    this.again();
  }

  private again(): void {
    clearTimeout(this.timer);
    if (this.stopped) return;
    this.timer = setTimeout(() => void this.look(), this.pauseMs).unref();
  }

  private async look(): Promise<void> {
    this.timer = undefined;
    const suspects = [...this.mailbox.heldUp()].filter(isSuspect);
    if (suspects.length === 0) return;
    const began = performance.now();
    this.looking = true;
    this.missed = false;
    try {
      const holders = suspects.flatMap((group) => [...group.holders].map(({ taskId }) => taskId));
      const graph = await surveyOf(holders, this.asked);
      this.resolve(graph);
    } finally {
      this.looking = false;
      this.least = Math.min(Math.max(FIRST_MS, SHARE * (performance.now() - began)), LONGEST_MS);
    }
    this.pauseMs = this.missed ? this.least : Math.min(Math.max(this.least, this.pauseMs * 2), LONGEST_MS);
    this.again();
  }

  private resolve(graph: WaitGraph): void {
    if (graph.size === 0 || this.stopped) return;
    const stuck = stuckIn(graph);
    if (stuck.size === 0) return;
    for (const { waiting } of this.mailbox.heldUp()) {
      for (const { call } of [...waiting]) {
        const { taskId } = call;
        if (!stuck.has(taskId) || victimWith(graph, stuck, taskId) !== taskId) continue;
        const cycle = cycleThrough(graph, stuck, taskId);
        if (cycle === undefined) continue;
        this.fail(call, errorOf(graph, cycle));
        return; // others may be able to go on now
      }
    }
  }
}

/** Whether so many of those that have the turn wait that nothing can start, and any call that waits is one of workers. */
function isSuspect({ holders, needs, waiting }: HeldUp): boolean {
  let may = 0;
  for (const call of holders) if (call.keptBy === undefined) may++;
  if (may >= needs) return false;
  // The code of a driver is nobody's call: a circle can't go through what it has called.
  for (const { call } of waiting) if (call.owner.startsWith("w")) return true;
  return false;
}

/** @param cycle begins with the queued call that fails */
function errorOf(graph: WaitGraph, cycle: readonly string[]): DeadlockError {
  const [victim, ...others] = cycle.map((task) => {
    const { name = task, actor, queued = false } = graph.get(task) ?? {};
    return { task, name, actor, queued, text: actor === undefined ? name : `${name} (actor ${actor})` };
  });
  if (victim === undefined) throw new RangeError("a circle of nothing");
  const steps = [...others, victim];
  const way = steps
    .map(({ text, queued }, i) => {
      const next = steps[(i + 1) % steps.length] ?? victim;
      return `${i === 0 ? text : ""} ${queued ? "waits for the turn of" : "awaits"} ${next.text}`.trim();
    })
    .join(", which ");
  return new DeadlockError(
    `${victim.name} would never run, since it waits for itself: ${way}. Don't await, inside a call of an actor, what comes ` +
      `back to the same actor; or let such calls run beside each other: maxConcurrency, a concurrencyGroup, or shared methods. (A get ` +
      `that was begun counts as awaited until it is over: one that the method goes on without needs a timeoutMs.)`,
    {
      detail: {
        cycle: steps.map(({ text }) => text),
        actors: steps.flatMap(({ actor }) => actor ?? []),
        methods: steps.map(({ name }) => name),
        tasks: steps.map(({ task }) => task),
      },
    },
  );
}
