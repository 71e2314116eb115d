/** The leases of a process: what it asks agents for, and what becomes of its tasks when nothing comes. */
import {
  Op,
  RuntimeEnvError,
  WorkerCrashedError,
  encodeError,
  newAgentId,
  newDriverId,
  newJobId,
  newNodeId,
  newWorkerId,
  taskIdOf,
  type JobSpec,
  type Shape,
} from "@stingray/protocol";
import { eventually } from "@stingray/protocol/testing";
import type { Channel, Endpoint } from "@stingray/broker";
import { expect } from "chai";
import { get } from "../src/get.js";
import type { Home } from "../src/home.js";
import { processState } from "../src/process-state.js";
import { LeasePool } from "../src/submit/lease-pool.js";
import { PendingTask, type TaskSettings } from "../src/submit/task.js";
import { PlayedCluster } from "./support/process.js";

type Message = readonly unknown[];

const shape: Shape = { resources: { CPU: 1 } };
let sequence = 0;
function newTask(): PendingTask {
  const settings: TaskSettings = {
    definition: { kind: "function", module: "file:///m.js", name: "f", target: () => 1, hash: "" },
    shape,
    shapeKey: "key",
    returns: 1,
    maxRetries: 3,
    retryOn: false,
    run: undefined,
    alone: false,
  };
  const args = { whole: new Uint8Array(), slots: undefined, pinned: [] };
  return new PendingTask(++sequence, settings, args, [], undefined, undefined);
}

/** A pool whose agent is played by hand. */
class Played {
  readonly sent: Message[] = [];
  readonly failed: PendingTask[] = [];
  readonly ran: PendingTask[] = [];
  readonly pool: LeasePool;
  private readonly handlers = new Map<number, (message: never, channel: Channel) => void>();

  constructor(elsewhereMs?: number) {
    const send = (message: Message): void => void this.sent.push(message);
    const channel = { send, onClose: () => () => {} } as unknown as Channel;
    const links = {
      job: () => ({ job: newJobId() }) as unknown as JobSpec,
      home: () => ({ send, node: newNodeId() }) as unknown as Home,
      channelTo: () => channel,
      warn: () => {},
      elsewhereMs,
    };
    this.pool = new LeasePool(links, {
      send: (task) => this.ran.push(task) > 0,
      attemptLost: () => {},
      fail: (task) => {
        task.to("ended");
        this.failed.push(task);
      },
      taskId: (task) => taskIdOf(newDriverId(), task.sequence),
    });
    const on = (op: number, _check: unknown, handler: (message: never, channel: Channel) => void): void =>
      void this.handlers.set(op, handler);
    this.pool.serve({ on } as unknown as Endpoint);
  }

  get(message: Message): void {
    this.handlers.get(message[0] as number)?.(message as never, {} as Channel);
  }

  grant(key: string, lease: string): void {
    this.get([Op.LeaseGrant, key, lease, newWorkerId(), newNodeId(), newAgentId()]);
  }

  /** Levels that were said of a key, and the leases that had come by then. */
  levels(key: string): [want: unknown, got: unknown][] {
    return this.sent.filter((m) => m[0] === Op.LeaseDemand && m[2] === key).map((m) => [m[4], m[5]]);
  }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const error = encodeError(new RuntimeEnvError("no such directory"));

describe("the leases of a process", () => {
  it("go on elsewhere when another node can't start workers, and are asked for again at once", async () => {
    const played = new Played(20);
    const queue = played.pool.queue("key", shape);
    for (let n = 0; n < 3; n++) queue.add(newTask());
    await turn();
    played.get([Op.LeaseFailed, "key", error, 2]);
    await turn();
    expect(played.levels("key")).to.deep.equal([
      [3, 0],
      [3, 2],
    ]);
    played.grant("key", "l1");
    await new Promise((resolve) => setTimeout(resolve, 40));
    expect([played.failed.length, played.ran.length, queue.length]).to.deep.equal([0, 1, 2]);
    played.get([Op.LeaseFailed, "key", error]);
    expect(played.failed, "its own node speaks for all").to.have.length(2);
    played.pool.stop();
  });

  it("fail their tasks when another node can't start workers, and none comes from anywhere", async () => {
    const played = new Played(20);
    const queue = played.pool.queue("key", shape);
    queue.add(newTask());
    await turn();
    played.get([Op.LeaseFailed, "key", error, 1]);
    expect(played.failed).to.deep.equal([]);
    await eventually(() => played.failed[0], "it has failed");
    await turn();
    expect(played.levels("key").at(-1)).to.deep.equal([0, 1]);
    played.pool.stop();
  });

  it("of shapes that come and go are forgotten", async () => {
    const played = new Played();
    const first = played.pool.queue("s0", shape);
    const busy = played.pool.queue("busy", shape);
    busy.add(newTask());
    for (let n = 1; n < 300; n++) played.pool.queue(`s${n}`, shape);
    await turn();
    expect(played.pool.queue("s0", shape)).to.not.equal(first);
    expect(played.pool.queue("busy", shape)).to.equal(busy);
    played.pool.stop();
  });
});

describe("a task whose time was over in an earlier attempt", () => {
  it("is not blamed for a worker that is ended for another task", async () => {
    const played = await PlayedCluster.start();
    try {
      processState.runtime = await played.join();
      const { task, refs } = played.submit([], { maxRetries: 1, retryOn: () => true });
      const first = await played.worker();
      await first.sent(task);
      task.timedOut = true;
      played.lose(first, "timeout");
      const second = await played.worker();
      await second.sent(task, 1);
      played.lose(second, "timeout");
      const thrown = await get(refs[0] as never).catch((reason: unknown) => reason);
      expect(thrown).to.be.instanceOf(WorkerCrashedError);
    } finally {
      processState.runtime = undefined;
      await played.end();
    }
  });
});
