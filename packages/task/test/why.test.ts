/** Why a task has not ended, as its submitter and the process that runs it know it. */
import {
  describeTask,
  newDriverId,
  newNodeId,
  newWorkerId,
  processWhy,
  taskIdOf,
  type Shape,
  type TaskWhy,
} from "@stingray/protocol";
import type { Channel } from "@stingray/broker";
import { expect } from "chai";
import { IncomingCall } from "../src/execute/call.js";
import { ObjectEntry } from "../src/objects/entry.js";
import { unready } from "../src/ready.js";
import { Lease } from "../src/submit/lease.js";
import { ShapeQueue } from "../src/submit/shape-queue.js";
import { PendingTask, type TaskSettings } from "../src/submit/task.js";
import { busyText, describeTasks, infeasibleText } from "../src/submit/wait-text.js";
import { progressOf } from "../src/why/running.js";
import { waitingTasksOf, whyOfTask, type TaskView } from "../src/why/task-why.js";

const [driver, other, worker, node] = [newDriverId(), newDriverId(), newWorkerId(), newNodeId()];
const shape: Shape = { resources: { CPU: 1, special: 2 }, labels: { zone: "b" } };
const settings = (name: string, maxRetries = 3): TaskSettings => ({
  definition: { kind: "function", module: "file:///m.js", name, target: () => 1, hash: "" },
  shape,
  shapeKey: "key",
  returns: 1,
  maxRetries,
  retryOn: false,
  run: undefined,
  alone: false,
});

describe("why a task waits", () => {
  let tasks: Map<number, PendingTask>;
  let queue: ShapeQueue;
  let view: TaskView;

  function add(name: string, needs: ObjectEntry[] = [], maxRetries?: number): PendingTask {
    const slots = needs.map((entry) => ({ kind: "object" as const, entry }));
    const args = { whole: undefined, slots, pinned: [] };
    const task = new PendingTask(tasks.size + 1, settings(name, maxRetries), args, [], undefined, undefined);
    tasks.set(task.sequence, task);
    return task;
  }
  /** As it comes off the wire. */
  function why(task: PendingTask): TaskWhy {
    const answer = { task: whyOfTask(task, view, performance.now()) };
    return processWhy(structuredClone(answer), "answer").task as TaskWhy;
  }

  beforeEach(() => {
    tasks = new Map();
    const host = {
      send: () => true,
      demand: () => {},
      giveBack: () => {},
      takeBack: () => {},
      waits: () => {},
    };
    queue = new ShapeQueue("key", shape, host);
    view = { process: driver, find: (sequence) => tasks.get(sequence), queueOf: () => queue };
  });
  afterEach(() => queue.stop());

  it("names the arguments that are missing, who makes them, and how far that is", () => {
    const load = add("load");
    queue.add(load);
    const own = new ObjectEntry(driver, undefined, true, load.sequence, 0);
    const foreign = new ObjectEntry(other, undefined, false, 9, 1);
    const there = new ObjectEntry(other, undefined, false, 10, 0);
    there.settle({ kind: "inline", bytes: new Uint8Array(1) });
    const train = add("train", [there, own, foreign]);
    expect(why(train).missing).to.deep.equal([
      { object: own.id, owner: driver, name: "load", phase: "queued" },
      { object: foreign.id, owner: other },
    ]);
    expect(describeTask(why(train))).to.equal(
      `train waits for its argument ${own.id} (of load, which is queued) and 1 more`,
    );
  });

  it("says what is queued for, behind how many, and what the agent said of it", () => {
    const [first, second] = [add("train"), add("train")];
    queue.add(first);
    queue.add(second);
    queue.pending = { reason: "no node has special", notice: "infeasible", warned: true };
    expect(why(second).queue).to.deep.equal({
      key: "key",
      shape,
      ahead: 1,
      length: 2,
      leases: 0,
      reason: "no node has special",
      infeasible: true,
    });
    expect(describeTask(why(second))).to.equal(
      "train waits for a worker with { CPU: 1, special: 2 } with labels zone=b, behind 1 other task: no node has special",
    );
    const groups = waitingTasksOf([...tasks.values(), add("late")], view, performance.now());
    expect(groups.map(({ phase, count, names, example }) => [phase, count, names, example])).to.deep.equal([
      ["queued", 2, ["train"], taskIdOf(driver, 1)],
      ["waiting", 1, ["late"], taskIdOf(driver, 3)],
    ]);
  });

  it("says where it was sent, how earlier attempts ended, and when the next one is", () => {
    const task = add("train");
    task.to("queued");
    task.to("sent");
    const lease = new Lease("l", worker, node, worker, {} as Channel);
    lease.inFlight.add(add("train")).add(task);
    task.lease = lease;
    expect(why(task).at).to.deep.equal({ process: worker, node, ahead: 1 });
    expect(describeTask(why(task))).to.match(
      new RegExp(
        `^train was sent to worker ${worker} on node ${node} .*ago, behind 1 other, and has not ended$`,
      ),
    );
    for (let i = 0; i < 9; i++) task.failed(`died ${i}`);
    task.lease = undefined;
    task.attempt = 9;
    task.nextAt = performance.now() + 60_000;
    task.to("backoff");
    const { failures, attempt, attempts, nextMs } = why(task);
    expect(failures.map(({ message }) => message)).to.deep.equal([4, 5, 6, 7, 8].map((i) => `died ${i}`));
    expect([attempt, attempts]).to.deep.equal([10, 4]);
    expect(nextMs).to.be.within(1, 60_000);
    expect(describeTask(why(task))).to.match(/^train is tried again in [\d.]+ s, after: died 8$/);
    expect(why(add("train", [], Infinity)).attempts).to.equal(-1);
  });

  it("is told by the process that runs it: in line, begun, or waiting for values", () => {
    const channel = { peer: { endpoint: driver, process: driver } } as unknown as Channel;
    const host = { blocked: () => {}, resumed: () => {}, cancelMark: () => undefined };
    const calls = new Map<number, IncomingCall>();
    for (const sequence of [1, 2, 3])
      calls.set(
        sequence,
        new IncomingCall(host, channel, sequence, "train", new Uint8Array(), 1, 0, undefined, "l"),
      );
    const state = (sequence: number): unknown => {
      const found = progressOf([calls], taskIdOf(driver, sequence), performance.now());
      return found && [found.state, found.ahead];
    };
    const [first] = calls.values();
    if (first === undefined) throw new Error("no call");
    first.taken = true;
    expect([1, 3, 4].map(state)).to.deep.equal([["arguments", 0], ["queued", 1], undefined]);
    first.begunAt = performance.now();
    expect(state(1)).to.deep.equal(["running", 0]);
    const awaits = (): unknown => progressOf([calls], first.taskId, performance.now())?.awaits;
    const [known, awaited] = [5, 6].map((sequence) => new ObjectEntry(other, undefined, false, sequence, 0));
    if (known === undefined || awaited === undefined) throw new Error("no entries");
    known.settle({ kind: "inline", bytes: new Uint8Array(1) });
    const wait = unready([known, awaited], undefined);
    first.block();
    first.block(wait);
    expect(state(1)).to.deep.equal(["waiting", 0]);
    expect(awaits()).to.equal(taskIdOf(other, 6));
    awaited.settle({ kind: "inline", bytes: new Uint8Array(1) });
    expect(awaits()).to.equal(undefined);
    first.resume(wait);
    expect(progressOf([calls], taskIdOf(other, 1), 0)).to.equal(undefined);
  });
});

describe("what users are told of what waits", () => {
  it("names functions, what is asked for, why, and what to do, in one line", () => {
    const what = describeTasks(5, ["a", "b", "a", "c", "d"]);
    expect(what).to.equal("5 tasks (a, b, c and 1 more)");
    const waiting = { what, count: 5, shape, reason: "no node can run it", id: `${driver}.1` };
    expect(infeasibleText(waiting)).to.equal(
      "5 tasks (a, b, c and 1 more) wait for { CPU: 1, special: 2 } with labels zone=b: no node can run it. " +
        `This goes on until a node joins that can: add one (stingray start --cpus 1 --resources '{"special":2}' --labels zone=b), ` +
        `or ask for what there is; "stingray why ${driver}.1" tells more`,
    );
    expect(
      busyText({ ...waiting, what: describeTasks(1, ["a"]), count: 1, reason: "all are busy" }),
    ).to.equal(
      `1 task (a) still waits for { CPU: 1, special: 2 } with labels zone=b: all are busy; "stingray why ${driver}.1" tells more`,
    );
  });
});
