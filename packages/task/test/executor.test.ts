/** The queue of a worker: each task runs once or is sent back, whatever its submitter, its agent and its neighbours do. */
import { Op, TaskStatus, type JobSpec, type ProcessId } from "@stingray/protocol";
import { eventually } from "@stingray/protocol/testing";
import type { Channel, Endpoint } from "@stingray/broker";
import { expect } from "chai";
import { Executor, type ExecutorLinks } from "../src/execute/executor.js";
import type { IncomingCall } from "../src/execute/call.js";
import type { CallRunner, Finished } from "../src/execute/runner.js";
import type { Home } from "../src/home.js";
import { define } from "../src/registry.js";

const MODULE = import.meta.url;
const { hash } = define("function", () => 1, MODULE, "queued");

type Message = readonly unknown[];

/** An executor whose bodies end when the test says so. */
class Played {
  readonly sent: Message[] = [];
  readonly ran: number[] = [];
  readonly running = new Map<number, () => void>();
  readonly channel = {
    send: (message: Message) => void this.sent.push(message),
    flush: () => {},
    peer: { endpoint: "submitter" as ProcessId },
  } as unknown as Channel;
  readonly executor: Executor;
  private readonly handlers = new Map<number, (message: never, channel: Channel) => void>();

  constructor(assignWaitMs?: number) {
    const run = (call: IncomingCall, _body: unknown, finished: Finished): void => {
      this.ran.push(call.sequence);
      this.running.set(call.sequence, () => {
        this.running.delete(call.sequence);
        call.channel.send([Op.TaskDone, call.sequence, TaskStatus.Ok, [], 1]);
        finished(1);
      });
    };
    const links: Partial<ExecutorLinks> = {
      runner: { serve: () => {}, run } as unknown as CallRunner,
      socketDir: "/nowhere",
      job: () => ({ root: "/" }) as JobSpec,
      home: () => ({ send: () => {} }) as unknown as Home,
      cancelChildren: () => {},
      enter: () => {},
      assignWaitMs,
    };
    const inbox = {
      on: (op: number, _check: unknown, handler: (message: never, channel: Channel) => void) =>
        void this.handlers.set(op, handler),
      onChannelClosed: () => {},
    };
    this.executor = new Executor(links as ExecutorLinks);
    this.executor.serve(inbox as unknown as Endpoint);
    this.get([Op.TaskDefine, 0, MODULE, "queued", hash]);
  }

  get(message: Message, channel = this.channel): void {
    this.handlers.get(message[0] as number)?.(message as never, channel);
  }

  assign(lease: string): void {
    this.get([Op.WorkerAssign, lease, "submitter", {}, []]);
  }

  task(sequence: number, lease: string): void {
    this.get([Op.TaskRun, sequence, lease, 0, new Uint8Array(), 1, 0]);
  }

  /** The statuses of the answers for a task. */
  answers(sequence: number): unknown[] {
    return this.sent.filter((m) => m[0] === Op.TaskDone && m[1] === sequence).map((m) => m[2]);
  }
}

describe("the queue of a worker", () => {
  it("gives back what has not begun, of that lease only, and goes on with the rest", async () => {
    const played = new Played();
    played.assign("a");
    played.assign("b");
    for (const [sequence, lease] of [
      [1, "a"],
      [2, "a"],
      [3, "b"],
      [4, "a"],
    ] as const)
      played.task(sequence, lease);
    expect(played.ran).to.deep.equal([1]);
    played.get([Op.TaskTakeBack, "a"]);
    played.get([Op.TaskTakeBack, "unknown"]);
    expect([1, 2, 3, 4].map((n) => played.answers(n))).to.deep.equal([
      [],
      [TaskStatus.Dropped],
      [],
      [TaskStatus.Dropped],
    ]);
    played.running.get(1)?.();
    await eventually(() => played.running.get(3), "the other lease's runs");
    played.running.get(3)?.();
    expect(played.answers(1)).to.deep.equal([TaskStatus.Ok]);
    expect(played.ran).to.deep.equal([1, 3]);
  });

  it("answers a task whose lease nobody has told it of", async () => {
    const played = new Played(20);
    played.task(1, "never");
    played.task(2, "soon");
    played.assign("soon");
    expect(played.ran).to.deep.equal([2]);
    await eventually(() => played.answers(1)[0], "it is sent back");
    expect(played.answers(1)).to.deep.equal([TaskStatus.Dropped]);
    played.task(3, "never");
    played.get([Op.TaskTakeBack, "never"]);
    expect(played.answers(3)).to.deep.equal([TaskStatus.Dropped]);
    played.assign("never");
    expect(played.ran).to.deep.equal([2]);
  });

  it("answers what is cancelled before its lease is assigned, and never runs it", () => {
    const played = new Played();
    played.task(1, "late");
    played.task(2, "late");
    played.get([Op.TaskCancel, 1, false]);
    expect(played.answers(1)).to.deep.equal([TaskStatus.Cancelled]);
    played.assign("late");
    expect(played.ran).to.deep.equal([2]);
  });

  it("leaves at once when nothing runs, whatever was sent back or cancelled", async () => {
    const played = new Played();
    played.task(1, "late");
    played.get([Op.TaskTakeBack, "late"]);
    played.task(2, "late");
    played.get([Op.TaskCancel, 2, false]);
    played.task(3, "late");
    let left = false;
    void played.executor.leave(60_000).then(() => (left = true));
    await eventually(() => left || undefined, "it has left");
    expect([1, 2, 3].map((n) => played.answers(n))).to.deep.equal([
      [TaskStatus.Dropped],
      [TaskStatus.Cancelled],
      [TaskStatus.Dropped],
    ]);
  });

  it("runs each task once or gives it back, in any order of events", async () => {
    for (let round = 0; round < 20; round++) {
      const played = new Played();
      const [early, late] = [`e${round}`, `l${round}`];
      played.assign(early);
      let sequence = 0;
      for (let step = 0; step < 150; step++) {
        const roll = Math.random();
        if (roll < 0.5) played.task(++sequence, roll < 0.3 ? early : late);
        else if (roll < 0.6) played.get([Op.TaskTakeBack, roll < 0.55 ? early : late]);
        else if (roll < 0.62) played.assign(late);
        else if (roll < 0.9) [...played.running.values()][0]?.();
        else await new Promise((turn) => setImmediate(turn));
      }
      played.assign(late);
      await eventually(
        () => {
          for (const end of played.running.values()) end();
          return played.sent.filter(([op]) => op === Op.TaskDone).length === sequence || undefined;
        },
        { message: "all are answered", intervalMs: 2 },
      );
      expect(new Set(played.ran).size).to.equal(played.ran.length);
      for (let n = 1; n <= sequence; n++) {
        const status = played.ran.includes(n) ? TaskStatus.Ok : TaskStatus.Dropped;
        expect(played.answers(n), String(n)).to.deep.equal([status]);
      }
    }
  });
});
