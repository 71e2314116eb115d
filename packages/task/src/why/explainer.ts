/** Answers why something of this process has not ended: to `stingray why`, and in errors of `get`. */
import {
  InvalidArgumentError,
  Process,
  describeTask,
  objectIdOf,
  ownerOf,
  type ProcessId,
  type ProcessWhy,
  type RunningWhy,
  type TaskId,
  type TaskWhy,
  type WaitingTasks,
} from "@stingray/protocol";
import type { Endpoint } from "@stingray/broker";
import type { ObjectEntry } from "../objects/entry.js";
import type { ObjectTable } from "../objects/table.js";
import { decodeThrown } from "../objects/thrown.js";
import type { Submitter } from "../submit/submitter.js";
import { waitingTasksOf, whyOfTask, type TaskView } from "./task-why.js";

/** Others that submit calls under the same sequence numbers: those of actors. */
export interface CallExplainer {
  why(sequence: number): TaskWhy | undefined;
  waits(): WaitingTasks[];
}

export interface ExplainerLinks {
  readonly process: ProcessId;
  readonly table: ObjectTable;
  readonly submitter: Submitter;
}

export class Explainer {
  private readonly calls = new Set<CallExplainer>();
  private readonly runners = new Set<(task: TaskId) => RunningWhy | undefined>();
  private readonly view: TaskView;

  constructor(private readonly links: ExplainerLinks) {
    const { process, submitter } = links;
    this.view = {
      process,
      find: (sequence) => submitter.find(sequence),
      queueOf: (task) => submitter.queueFor(task),
    };
  }

  serve(inbox: Endpoint): void {
    inbox.serve(Process.why, ({ task }) => this.why(task as TaskId));
    inbox.serve(Process.waits, () => ({ tasks: this.waits() }));
  }

  /** Adds those who know of calls. */
  addCalls(calls: CallExplainer): void {
    this.calls.add(calls);
  }
  /** Adds those who know of what runs in this process. */
  addRunner(progress: (task: TaskId) => RunningWhy | undefined): void {
    this.runners.add(progress);
  }

  /** All that this process knows of a task: as the one that submitted it, and as the one that runs it. */
  why(task: TaskId): ProcessWhy {
    const answer: ProcessWhy = {};
    const { process } = this.links;
    if (ownerOf(task) === process) answer.task = this.ofSequence(sequenceOf(task));
    for (const progress of this.runners) answer.running ??= progress(task);
    return answer;
  }

  waits(): WaitingTasks[] {
    const { submitter } = this.links;
    const tasks = waitingTasksOf(submitter.unended(), this.view, performance.now());
    for (const calls of this.calls) tasks.push(...calls.waits());
    return tasks;
  }

  /** One sentence without a stop, for errors: why an object has no value yet. */
  explain({ owned, owner, sequence }: ObjectEntry): string {
    if (!owned) return `its owner, process ${owner}, has not said that it is made`;
    const why = this.ofSequence(sequence);
    return why === undefined ? "nothing more is known of it" : describeTask(why);
  }

  private ofSequence(sequence: number): TaskWhy | undefined {
    const task = this.links.submitter.find(sequence);
    if (task !== undefined) return whyOfTask(task, this.view, performance.now());
    for (const calls of this.calls) {
      const why = calls.why(sequence);
      if (why !== undefined) return why;
    }
    return this.ended(sequence);
  }

  /** It left its result behind, if anybody but this program's code can name that. */
  private ended(sequence: number): TaskWhy | undefined {
    const { process, table } = this.links;
    if (!table.hasGiven(sequence)) return undefined;
    const entry = table.lookup(objectIdOf(process, sequence, 0));
    const outcome =
      entry === undefined
        ? "nothing else is kept of it; its result, if anybody holds it, is in its program's memory"
        : outcomeOf(entry);
    const task = `${process}.${sequence}`;
    return { task, name: "", phase: "ended", phaseMs: 0, attempt: 1, attempts: 1, failures: [], outcome };
  }
}

function outcomeOf({ state }: ObjectEntry): string {
  switch (state.kind) {
    case "inline":
      return `a value of ${state.bytes.byteLength} bytes in its owner's memory`;
    case "slab":
      return `a value of ${state.value.bytes.byteLength} bytes in its owner's shared memory`;
    case "stored": {
      const [size, copies] = state.location;
      return `a value of ${size} bytes in the store of ${copies.map(([node]) => `node ${node}`).join(", ")}`;
    }
    case "error":
      return `an error: ${decodeThrown(state.bytes).message}`;
    case "pending":
      return "its value is not known yet";
  }
}

function sequenceOf(task: TaskId): number {
  const sequence = Number(task.slice(task.indexOf(".") + 1));
  if (!Number.isSafeInteger(sequence)) throw new InvalidArgumentError(`${task} is no id of a task`);
  return sequence;
}
