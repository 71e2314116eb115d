/** A real runtime over real links, beside an agent and workers that a test plays by hand. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Transport, type Channel } from "@stingray/broker";
import {
  Op,
  Owner,
  Subjects,
  TaskStatus,
  leaseDemand,
  leaseReturn,
  newAgentId,
  newDriverId,
  newJobId,
  newNodeId,
  newWorkerId,
  objectRelease,
  storeAbandoned,
  storeFree,
  storeReturn,
  storeSealed,
  taskCancel,
  taskDefine,
  taskRun,
  type NodeId,
  type ObjectId,
  type ProcessId,
  type Shape,
  type TaskRun,
  type ValueDesc,
} from "@stingray/protocol";
import { eventually } from "@stingray/protocol/testing";
import type { LocalStore } from "../../src/objects/local-store.js";
import type { ObjectRef } from "../../src/objects/object-ref.js";
import { Runtime } from "../../src/runtime.js";
import type { PendingTask, TaskSettings } from "../../src/submit/task.js";

const shape: Shape = { resources: { CPU: 1 } };
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

/** What a worker was sent, and by whom. */
export interface Run {
  readonly message: TaskRun;
  readonly channel: Channel;
}

export class PlayedWorker {
  readonly runs: Run[] = [];
  /** Owners were told that references were released: the object, and how many borrows. */
  readonly released: [object: string, count: number][] = [];
  /** `object.borrowed` that came. */
  readonly borrowed: number[] = [];

  constructor(readonly transport: Transport) {
    const { inbox } = transport;
    inbox.on(Op.TaskDefine, taskDefine, () => {});
    inbox.on(Op.TaskCancel, taskCancel, () => {});
    inbox.on(Op.TaskRun, taskRun, (message, channel) => void this.runs.push({ message, channel }));
    inbox.on(Op.ObjectRelease, objectRelease, ([, id, count]) => void this.released.push([id, count]));
    inbox.serve(Owner.borrowed, ({ call }) => {
      this.borrowed.push(call);
      return {};
    });
  }

  get process(): ProcessId {
    return this.transport.process;
  }

  /** Resolves when it was sent attempt `attempt` of the task. */
  sent(task: PendingTask, attempt = 0): Promise<Run> {
    return eventually(
      () => this.runs.find(({ message }) => message[1] === task.sequence && message[6] === attempt),
      `attempt ${attempt} of task ${task.sequence} is sent`,
    );
  }

  /** Answers it. Long runs, so that one task is sent at a time. */
  async end(task: PendingTask, results: ValueDesc[], attempt = 0, refs?: string[]): Promise<void> {
    const { channel } = await this.sent(task, attempt);
    const message = [Op.TaskDone, task.sequence, TaskStatus.Ok, results, 1e6];
    channel.send(refs === undefined ? message : [...message, refs]);
  }
}

export class PlayedCluster {
  /** Copies that were to be dropped. */
  readonly freed: string[] = [];
  readonly sealed: string[] = [];
  private readonly workers: PlayedWorker[] = [];
  /** Workers that may be leased. */
  private readonly free: PlayedWorker[] = [];
  private demand: { key: string; want: number; channel: Channel } | undefined;
  private leases = 0;
  private readonly leased = new Map<string, PlayedWorker>();

  private constructor(
    private readonly directory: string,
    private readonly common: { node: NodeId; subjects: Subjects; socketDir: string; secret: string },
    readonly agent: Transport,
  ) {}

  static async start(): Promise<PlayedCluster> {
    const directory = mkdtempSync(join(tmpdir(), "st-task-"));
    const node = newNodeId();
    const common = { node, subjects: new Subjects("st", "test"), socketDir: directory, secret: "s" };
    const agent = await Transport.create({ ...common, process: newAgentId() });
    const played = new PlayedCluster(directory, common, agent);
    played.serve();
    return played;
  }

  private runtimeNow: Runtime | undefined;

  get runtime(): Runtime {
    if (this.runtimeNow === undefined) throw new Error("join() comes first");
    return this.runtimeNow;
  }

  /** The process under test. */
  async join(store?: LocalStore): Promise<Runtime> {
    const process = newDriverId();
    const transport = await Transport.create({ ...this.common, process });
    this.runtimeNow = Runtime.start({
      transport,
      process,
      node: this.node,
      home: { agent: this.agent.process, node: this.node },
      job: {
        job: newJobId(),
        driver: process,
        pid: 1,
        hostname: "h",
        entry: "",
        root: "/",
        namespace: "",
        runtimeEnv: {},
        execArgv: [],
        logToDriver: false,
      },
      store,
      markDir: undefined,
      warn: () => {},
      container: () => {
        throw new Error("nothing is injected here");
      },
      onLost: () => {},
    });
    return this.runtimeNow;
  }

  private serve(): void {
    const { inbox } = this.agent;
    inbox.on(Op.StoreFree, storeFree, ([, ids]) => void this.freed.push(...ids));
    inbox.on(Op.StoreSealed, storeSealed, ([, id]) => void this.sealed.push(id));
    inbox.on(Op.StoreAbandoned, storeAbandoned, () => {});
    inbox.on(Op.StoreReturn, storeReturn, () => {});
    inbox.on(Op.LeaseReturn, leaseReturn, ([, id]) => {
      const worker = this.leased.get(id);
      if (!this.leased.delete(id) || worker === undefined) return;
      this.free.push(worker);
      this.grant();
    });
    inbox.on(Op.LeaseDemand, leaseDemand, ([, , key, , want], channel) => {
      this.demand = { key, want, channel };
      this.grant();
    });
  }

  private grant(): void {
    const { demand } = this;
    while (demand !== undefined && demand.want > 0) {
      const worker = this.free.shift();
      if (worker === undefined) return;
      demand.want--;
      const id = `l${++this.leases}`;
      this.leased.set(id, worker);
      demand.channel.send([Op.LeaseGrant, demand.key, id, worker.process, this.node, this.agent.process]);
    }
  }

  /** All of them are on it. */
  get node(): NodeId {
    return this.common.node;
  }

  /** Another worker that may be leased. */
  async worker(): Promise<PlayedWorker> {
    const process = newWorkerId();
    const worker = new PlayedWorker(await Transport.create({ ...this.common, process }));
    this.workers.push(worker);
    this.free.push(worker);
    this.grant();
    return worker;
  }

  /** The worker's lease is lost, and not granted again; its links stay open. `reason`: why the agent ended it. */
  lose(worker: PlayedWorker, reason?: string): void {
    for (const [id, leased] of this.leased) {
      if (leased !== worker) continue;
      this.leased.delete(id);
      this.demand?.channel.send([
        Op.LeaseLost,
        id,
        worker.process,
        { pid: 1, stderr: [], ...(reason === undefined ? {} : { reason }) },
      ]);
    }
  }

  /** A task and the references to its results. */
  submit(args: unknown[], more: Partial<TaskSettings> = {}): { task: PendingTask; refs: ObjectRef[] } {
    const { submitter, values, table } = this.runtime;
    const task = submitter.submit({ ...settings, ...more }, values.encodeArgs(args), undefined);
    return { task, refs: task.results.map((entry) => table.handle(entry)) };
  }

  /** A value in the store of a node. */
  stored(id: ObjectId, node: NodeId = this.node, size = 200_000): ValueDesc {
    return [1, [size, [[node, this.agent.process]], 0], id];
  }

  /** Has a worker say that no copy of it can be read. */
  async reportLost(worker: PlayedWorker, id: ObjectId): Promise<ValueDesc> {
    const channel = worker.transport.inbox.channel({
      endpoint: this.runtime.process,
      node: this.node,
    });
    const ask = {
      object: id,
      failed: [this.node],
      generation: this.runtime.table.lookup(id)?.generation ?? 0,
    };
    return (await channel.request(Owner.recover, ask, { timeoutMs: 5_000 })).value;
  }

  async end(): Promise<void> {
    this.runtimeNow?.stop();
    for (const { transport } of this.workers) await transport.close({ drainMs: 0 });
    await this.runtimeNow?.transport.close({ drainMs: 0 });
    await this.agent.close({ drainMs: 0 });
    rmSync(this.directory, { recursive: true, force: true });
  }
}
