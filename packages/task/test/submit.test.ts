/** Parts of the submitter: phases of a task, run times, retries, and the queue of a shape. */
import { ProtocolError, TaskError, WorkerCrashedError, type Shape } from "@stingray/protocol";
import type { NodeId, ProcessId } from "@stingray/protocol";
import { eventually } from "@stingray/protocol/testing";
import type { Channel } from "@stingray/broker";
import { expect } from "chai";
import type { RemoteDefinition } from "../src/registry.js";
import { workerEnded } from "../src/submit/failures.js";
import { Lease } from "../src/submit/lease.js";
import { backoffMs, shouldRetry } from "../src/submit/retry.js";
import { RunTime } from "../src/submit/run-time.js";
import { ShapeQueue } from "../src/submit/shape-queue.js";
import { PendingTask, type TaskPhase, type TaskSettings } from "../src/submit/task.js";

const shape: Shape = { resources: { CPU: 1 } };
const definition: RemoteDefinition = {
  kind: "function",
  module: "file:///m.js",
  name: "f",
  target: () => 1,
  hash: "",
};
const settings = (more: Partial<TaskSettings> = {}): TaskSettings => ({
  definition,
  shape,
  shapeKey: "key",
  returns: 1,
  maxRetries: 3,
  retryOn: false,
  run: undefined,
  alone: false,
  ...more,
});
let sequence = 0;
const newTask = (more: Partial<TaskSettings> = {}): PendingTask =>
  new PendingTask(
    ++sequence,
    settings(more),
    { whole: new Uint8Array(), slots: undefined, pinned: [] },
    [],
    undefined,
    undefined,
  );
const newLease = (id: string): Lease =>
  new Lease(id, "w" as ProcessId, "n" as NodeId, "a" as ProcessId, {} as Channel);

describe("phases of a task", () => {
  const allowed: Record<TaskPhase, TaskPhase[]> = {
    waiting: ["queued", "ended"],
    queued: ["sent", "ended"],
    sent: ["queued", "backoff", "waiting", "ended"],
    backoff: ["queued", "ended"],
    ended: ["waiting"],
  };
  const phases = Object.keys(allowed) as TaskPhase[];

  it("take the steps that there are, and no other", () => {
    for (const from of phases)
      for (const to of phases) {
        const task = newTask();
        task.phase = from;
        const yes = allowed[from].includes(to);
        expect(task.to(to), `${from} to ${to}`).to.equal(yes);
        expect(task.phase).to.equal(yes ? to : from);
      }
  });
});

describe("run times", () => {
  it("let one task go ahead until something is known, then as many as keep a worker busy", () => {
    const time = new RunTime();
    expect([time.depth, time.estimate(10)]).to.deep.equal([1, undefined]);
    time.observe(10);
    expect(time.depth).to.equal(200);
    expect(time.estimate(100)).to.equal(1_000);
    time.observe(0.01);
    expect(time.depth).to.be.within(200, 1_000);
  });

  it("follow up at once and come down slowly", () => {
    const time = new RunTime();
    time.observe(10);
    time.observe(1_000_000);
    expect(time.depth).to.equal(1);
    time.observe(10);
    expect(time.depth).to.equal(1);
    for (let i = 0; i < 200; i++) time.observe(10);
    expect(time.depth).to.be.greaterThan(100);
  });
});

describe("retries", () => {
  const failed = new TaskError("f failed", { cause: new RangeError("r") });

  it("follow the rule, which sees the original error", () => {
    expect(shouldRetry(false, failed)).to.equal(false);
    expect(shouldRetry(true, failed)).to.equal(true);
    expect(shouldRetry([TypeError, RangeError], failed)).to.equal(true);
    expect(shouldRetry([TypeError], failed)).to.equal(false);
    expect(shouldRetry([TaskError], failed)).to.equal(true);
    expect(shouldRetry((error) => error instanceof RangeError, failed)).to.equal(true);
    expect(shouldRetry([WorkerCrashedError], new WorkerCrashedError("gone"))).to.equal(true);
  });

  it("are not made where the rule itself throws", () => {
    const broken = (): boolean => {
      throw new ProtocolError("a mistake");
    };
    expect(shouldRetry(broken, failed)).to.equal(false);
  });

  it("wait longer each time, up to a limit, and not all the same", () => {
    for (let attempt = 1; attempt < 30; attempt++) {
      const most = Math.min(10_000, 20 * 2 ** (attempt - 1));
      for (let i = 0; i < 20; i++) expect(backoffMs(attempt)).to.be.within(most / 2, most);
    }
    expect(new Set(Array.from({ length: 20 }, () => backoffMs(5))).size).to.be.greaterThan(1);
  });

  it("say in the end how the worker ended, and how often it was tried", () => {
    const report = { pid: 7, signal: "SIGSEGV", stderr: ["a", "b", "c", "d"] };
    const error = workerEnded("f", report, "n1", 3);
    expect(error).to.be.instanceOf(WorkerCrashedError);
    expect(error.message).to.match(/f \(pid 7 on node n1\).*SIGSEGV.*3 attempts.*b \| c \| d/);
    expect(workerEnded("f", undefined, "n1", 1).message).to.contain("n1 is gone or cut off");
  });
});

describe("the queue of a shape", () => {
  interface Host {
    sent: [task: number, lease: string][];
    wants: number[];
    returned: [lease: string, usable: boolean][];
    askedBack: string[];
  }
  function newQueue(of: Shape = shape): { queue: ShapeQueue; host: Host } {
    const host: Host = { sent: [], wants: [], returned: [], askedBack: [] };
    const queue = new ShapeQueue("key", of, {
      send: (task, lease) => host.sent.push([task.sequence, lease.id]) > 0,
      demand: (_key, _shape, want) => void host.wants.push(want),
      giveBack: (lease, usable) => void host.returned.push([lease.id, usable]),
      takeBack: (lease) => void host.askedBack.push(lease.id),
      waits: () => {},
    });
    return { queue, host };
  }
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  const end = (queue: ShapeQueue, task: PendingTask, lease: Lease): void => {
    task.to("ended");
    queue.ended(task, lease);
  };

  it("asks once a turn for as many workers as have use, and takes it back", async () => {
    const { queue, host } = newQueue();
    const tasks = [newTask(), newTask(), newTask()];
    for (const task of tasks) queue.add(task);
    await turn();
    expect(host.wants).to.deep.equal([3]);
    for (const task of tasks) queue.remove(task);
    await turn();
    expect(host.wants).to.deep.equal([3, 0]);
    queue.stop();
  });

  it("withdraws a demand that another node has failed a part of, also where nothing is left to say", async () => {
    const { queue, host } = newQueue();
    for (let n = 0; n < 3; n++) queue.add(newTask());
    await turn();
    for (const task of queue.takeAll()) task.to("ended");
    await turn();
    expect(host.wants).to.deep.equal([3, 0]);
    for (const task of queue.takeAll()) task.to("ended");
    await turn();
    expect(host.wants, "what crossed the failure counts again").to.deep.equal([3, 0, 0]);
    expect(queue.isIdle).to.equal(true);
    queue.stop();
  });

  it("keeps nothing of why earlier tasks waited", () => {
    const { queue } = newQueue();
    const waits = (): PendingTask => {
      const task = newTask();
      queue.add(task);
      queue.pending = { reason: "no node can run it", notice: "infeasible", warned: true };
      return task;
    };
    queue.remove(waits());
    expect(queue.pending).to.equal(undefined);
    waits();
    queue.takeAll();
    expect(queue.pending).to.equal(undefined);
    queue.stop();
  });

  it("sends in the order of submission; one at a time while it does not know how long they take", () => {
    const { queue, host } = newQueue();
    const tasks = [newTask(), newTask(), newTask()] as const;
    for (const task of tasks) queue.add(task);
    const lease = newLease("l1");
    queue.granted(lease);
    expect(host.sent).to.deep.equal([[tasks[0].sequence, "l1"]]);
    queue.observe(definition, 10);
    end(queue, tasks[0], lease);
    expect(host.sent.map(([task]) => task)).to.deep.equal(tasks.map((task) => task.sequence));
    queue.stop();
  });

  it("gives the least loaded worker the next task", () => {
    const { queue, host } = newQueue();
    queue.observe(definition, 10);
    queue.granted(newLease("l1"));
    queue.granted(newLease("l2"));
    for (let i = 0; i < 6; i++) queue.add(newTask());
    expect(host.sent.map(([, lease]) => lease)).to.deep.equal(["l1", "l2", "l1", "l2", "l1", "l2"]);
    queue.stop();
  });

  it("never sends a task that may not share its worker beside another, in either order", () => {
    for (const order of [
      [true, false],
      [false, true],
      [true, true],
    ]) {
      const { queue, host } = newQueue();
      queue.observe(definition, 10);
      const tasks = order.map((alone) => newTask({ alone }));
      const lease = newLease("l1");
      queue.granted(lease);
      for (const task of tasks) queue.add(task);
      expect(host.sent).to.have.length(1);
      end(queue, tasks[0] as PendingTask, lease);
      expect(host.sent).to.have.length(2);
      queue.stop();
    }
  });

  describe("of tasks that are to be spread", () => {
    const spread: Shape = { ...shape, scheduling: { kind: "spread" } };
    const leaseOn = (id: string, node: string): Lease =>
      new Lease(id, "w" as ProcessId, node as NodeId, "a" as ProcessId, {} as Channel);

    it("keeps a task for each worker that is about to come, however short they are", () => {
      const { queue, host } = newQueue(spread);
      queue.observe(definition, 10);
      const tasks = [newTask(), newTask(), newTask(), newTask()] as const;
      for (const task of tasks) queue.add(task);
      queue.announced("slow1", true);
      queue.announced("slow2", true);
      const first = leaseOn("first", "n1");
      queue.granted(first);
      end(queue, tasks[0], first);
      end(queue, tasks[1], first);
      expect(host.sent.map(([, lease]) => lease)).to.deep.equal(["first", "first"]);
      queue.granted(leaseOn("slow2", "n2"));
      queue.announced("slow1", false);
      expect(host.sent.map(([, lease]) => lease)).to.deep.equal(["first", "first", "slow2", "first"]);
      queue.stop();
    });

    it("keeps nothing for a worker that came before it was announced", () => {
      const { queue, host } = newQueue(spread);
      const tasks = [newTask(), newTask()] as const;
      queue.add(tasks[0]);
      const lease = leaseOn("fast", "n1");
      queue.granted(lease);
      queue.announced("fast", true);
      queue.add(tasks[1]);
      end(queue, tasks[0], lease);
      expect(host.sent).to.have.length(2);
      queue.stop();
    });

    it("asks for exactly as many as there are, and prefers the node with the least to do", async () => {
      const { queue, host } = newQueue(spread);
      queue.observe(definition, 10);
      const tasks = [1, 2, 3, 4, 5, 6].map(() => newTask());
      for (const task of tasks) queue.add(task);
      await turn();
      expect(host.wants).to.deep.equal([6]);
      for (const task of tasks) queue.remove(task);
      for (const id of ["a1", "a2", "b1", "b2"]) queue.granted(leaseOn(id, id.charAt(0)));
      queue.add(newTask());
      queue.add(newTask());
      expect(host.sent.map(([, lease]) => lease)).to.deep.equal(["a1", "b1"]);
      queue.stop();
    });
  });

  it("gives a worker back that was asked back for, after what it has", () => {
    const { queue, host } = newQueue();
    const task = newTask();
    const lease = newLease("l1");
    queue.add(task);
    queue.granted(lease);
    queue.revoked(lease);
    queue.add(newTask());
    expect(host.returned).to.deep.equal([]);
    expect(host.sent).to.have.length(1);
    end(queue, task, lease);
    expect(host.returned).to.deep.equal([["l1", true]]);
    queue.stop();
  });

  /** As the submitter does it. */
  const sendBack = (queue: ShapeQueue, task: PendingTask, lease: Lease): void => {
    queue.sentBack(task, lease);
    task.lease = undefined;
    queue.add(task, true);
  };

  it("asks back what lies behind a task that takes longer than expected, for any other worker", async () => {
    const { queue, host } = newQueue();
    queue.observe(definition, 10);
    const [slow, behind, last] = [newTask(), newTask(), newTask()] as const;
    const [busy, free] = [newLease("busy"), newLease("free")];
    queue.granted(busy);
    for (const task of [slow, behind, last]) queue.add(task);
    await eventually(() => host.askedBack[0], "it is asked");
    expect(host.askedBack).to.deep.equal(["busy"]);
    sendBack(queue, last, busy);
    sendBack(queue, behind, busy);
    expect(queue.length, "nothing goes where they came from").to.equal(2);
    await turn();
    expect(host.wants.at(-1), "they may all take long").to.equal(2);
    queue.granted(free);
    expect(host.sent.at(-1)).to.deep.equal([behind.sequence, "free"]);
    end(queue, behind, free);
    end(queue, last, free);
    end(queue, slow, busy);
    queue.add(newTask());
    queue.add(newTask());
    expect(host.sent.slice(-2).map(([, lease]) => lease)).to.have.members(["busy", "free"]);
    expect(host.askedBack).to.have.length(1);
    queue.stop();
  });

  it("asks back what lies on one worker when it turns out that all of it takes longer", async () => {
    const { queue, host } = newQueue();
    queue.observe(definition, 10);
    const tasks = Array.from({ length: 20 }, () => newTask());
    const lease = newLease("l1");
    queue.granted(lease);
    for (const task of tasks) queue.add(task);
    expect(host.sent).to.have.length(20);
    // They go on ending, each after some time.
    const left = [...tasks];
    await eventually(() => {
      const ended = left.shift();
      if (ended === undefined) throw new Error("all ran on one worker");
      queue.observe(definition, 5_000);
      end(queue, ended, lease);
      return host.askedBack[0];
    }, "it is asked");
    for (const task of left.slice(1)) sendBack(queue, task, lease);
    expect(lease.inFlight.size, "one at a time from now on").to.equal(1);
    await turn();
    expect(host.wants.at(-1)).to.be.greaterThan(0);
    queue.stop();
  });

  it("asks back what has not begun on a worker that others need", () => {
    const { queue, host } = newQueue();
    queue.observe(definition, 10);
    const [running, behind] = [newTask(), newTask()] as const;
    const lease = newLease("l1");
    queue.granted(lease);
    queue.add(running);
    queue.add(behind);
    queue.revoked(lease);
    queue.revoked(lease);
    expect(host.askedBack).to.deep.equal(["l1"]);
    sendBack(queue, behind, lease);
    end(queue, running, lease);
    expect(host.returned).to.deep.equal([["l1", true]]);
    expect(queue.length).to.equal(1);
    queue.stop();
  });

  it("gives up a worker that sends tasks back unasked", () => {
    const { queue, host } = newQueue();
    const task = newTask();
    const lease = newLease("l1");
    queue.granted(lease);
    queue.add(task);
    sendBack(queue, task, lease);
    expect(host.returned).to.deep.equal([["l1", false]]);
    expect(queue.length).to.equal(1);
    queue.stop();
  });

  it("uses a worker for at most maxCalls tasks, and gives it back as used up", () => {
    const { queue, host } = newQueue({ ...shape, maxCalls: 2 });
    queue.observe(definition, 10);
    const tasks = [newTask(), newTask(), newTask()] as const;
    const lease = newLease("l1");
    queue.granted(lease);
    for (const task of tasks) queue.add(task);
    expect(host.sent).to.have.length(2);
    end(queue, tasks[0], lease);
    end(queue, tasks[1], lease);
    expect(host.returned).to.deep.equal([["l1", false]]);
    expect(queue.length).to.equal(1);
    queue.stop();
  });
});
