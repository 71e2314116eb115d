/** One call in the process that runs it: a task, or a method of an actor. */
import { existsSync } from "node:fs";
import type {
  ObjectId,
  ProcessId,
  RunningWhy,
  TaskId,
  TaskRunOptions,
  ValueDesc,
  WaitPart,
} from "@stingray/protocol";
import { objectIdOf, taskIdOf } from "@stingray/protocol";
import type { Channel } from "@stingray/broker";
import type { ActorExecution, Execution, WaitsFor } from "../context.js";

/** Where the answers of a call go: the channel of its caller, or whoever keeps them for it. */
export interface Answers extends Pick<Channel, "peer" | "closed" | "send" | "flush"> {
  /** The channel to the caller, where these go another way. */
  readonly via?: Channel | undefined;
}

export interface CallHost {
  /** The call awaits values: another may run meanwhile. */
  blocked(call: IncomingCall): void;
  resumed(call: IncomingCall): void;
  /** File whose existence says that the call was cancelled, for code that never yields. */
  cancelMark(call: IncomingCall): string | undefined;
}

/** How often `isCancelled()` looks at the file system at most, in milliseconds. */
const LOOK_EVERY_MS = 2;
/** Whoever awaits more values at once is not looked at for circles of waits. */
const MOST_AWAITED = 1_000;

export class IncomingCall implements Execution {
  readonly abort = new AbortController();
  resources: Readonly<Record<string, number>> = {};
  gpuIds: readonly number[] = [];
  actor: ActorExecution | undefined;
  /** Items of a stream that the reader has taken; -1: it wants no more. */
  consumed = 0;
  consumedWaiter: (() => void) | undefined;
  timedOut = false;
  timer: NodeJS.Timeout | undefined;
  /** Its turn has come. */
  taken = false;
  /** When its body was called, by `performance.now()`. */
  begunAt: number | undefined;
  /** Of its name, where that was marked before. */
  mark: number | undefined;
  private waits = 0;
  private version = 0;
  private waitsFor: Set<WaitsFor> | undefined;
  private over = false;
  private cancelledNow = false;
  private lookedAt = 0;

  constructor(
    private readonly host: CallHost,
    readonly channel: Answers,
    readonly sequence: number,
    readonly name: string,
    readonly args: Uint8Array | ValueDesc[],
    readonly returns: number,
    readonly attempt: number,
    readonly options: TaskRunOptions | undefined,
    /** Of the task; empty for actor calls. */
    readonly lease: string,
  ) {}

  get owner(): ProcessId {
    return this.channel.peer.process ?? (this.channel.peer.endpoint as ProcessId);
  }

  get capture(): string | undefined {
    return this.actor === undefined ? this.options?.capture : this.actor.capture;
  }

  get taskId(): TaskId {
    return taskIdOf(this.owner, this.sequence);
  }

  resultId(index: number): ObjectId {
    return objectIdOf(this.owner, this.sequence, index);
  }

  /** How far it is, for people. */
  get progress(): RunningWhy["state"] {
    if (!this.taken) return "queued";
    if (this.begunAt === undefined) return "arguments";
    return this.waits > 0 ? "waiting" : "running";
  }

  get cancelled(): boolean {
    return this.cancelledNow;
  }

  cancel(): void {
    this.cancelledNow = true;
    this.abort.abort();
    this.consumedWaiter?.();
  }

  /** Its timeoutMs is over. */
  timeOut(reason: Error): void {
    this.timedOut = true;
    this.abort.abort(reason);
    this.consumedWaiter?.();
  }

  isCancelled(): boolean {
    if (this.cancelledNow || this.timedOut) return true;
    const now = performance.now();
    if (now - this.lookedAt < LOOK_EVERY_MS) return false;
    this.lookedAt = now;
    const mark = this.host.cancelMark(this);
    if (mark !== undefined && existsSync(mark)) this.cancel();
    return this.cancelledNow;
  }

  /** What it awaits, for people. */
  get awaits(): TaskId | undefined {
    for (const wait of this.waitsFor ?? []) {
      const [task] = wait.tasks();
      if (task !== undefined) return task;
    }
    return undefined;
  }

  /** What keeps it from going on; undefined where it may go on by itself, as far as is known. */
  get keptBy(): WaitPart[] | undefined {
    const { waitsFor } = this;
    // A wait that is not among them is for something else, and the end of a time limit is the end of all of them.
    if (this.over || this.waits === 0 || waitsFor?.size !== this.waits) return undefined;
    if (this.cancelledNow || this.options?.timeoutMs !== undefined) return undefined;
    const parts: WaitPart[] = [];
    for (const wait of waitsFor) {
      const needs = wait.needs();
      if (wait.limited || needs <= 0) return undefined;
      const of = wait.tasks();
      if (of.length > MOST_AWAITED) return undefined;
      parts.push({ needs, of });
    }
    return parts;
  }

  /** Another after every beginning and end of a wait. */
  get waitVersion(): number {
    return this.version;
  }

  block(wait?: WaitsFor): void {
    this.version++;
    if (wait !== undefined) (this.waitsFor ??= new Set()).add(wait);
    if (!this.over && this.waits++ === 0) this.host.blocked(this);
  }

  resume(wait?: WaitsFor): void {
    this.version++;
    if (wait !== undefined) this.waitsFor?.delete(wait);
    if (!this.over && --this.waits === 0) this.host.resumed(this);
  }

  /** It is answered. What its body left behind, such as a `get` that nobody awaits any more, counts no longer. */
  end(): void {
    if (this.over) return;
    this.over = true;
    if (this.waits > 0) this.host.resumed(this);
  }
}
