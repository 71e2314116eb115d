/** One scheduler of the cluster, without workers: its connection, its account, its view of the others, its program. */
import { decodePlain, encodePlain } from "@stingray/broker";
import { connectBroker } from "@stingray/broker/connect";
import type { BrokerOptions } from "@stingray/broker/connect";
import { Bidding } from "@stingray/node/bidding";
import type { BiddingOptions } from "@stingray/node/bidding";
import { newWorkerId, type NodeId, type ProcessId, type Subjects } from "@stingray/protocol";
import { ClusterView, ResourceAccount, type NodeFacts } from "@stingray/scheduler";
import { HeldBook } from "./held.js";
import { JOB, KINDS } from "./plan.js";
import type { NodePlan } from "./plan.js";
import { Requester } from "./requester.js";

export interface InstanceOptions {
  broker: BrokerOptions;
  subjects: Subjects;
  plan: NodePlan;
  /** All nodes of the cluster, this one included, as a table of nodes would tell. */
  facts: readonly NodeFacts[];
  placed: (kind: number, ms: number, remote: boolean) => void;
}

/** What goes over the broker beside the scheduling itself: what programs are told, and the leases that they give back. */
const Op = { grant: 1, giveBack: 2, failed: 3, pending: 4 } as const;
type Note =
  | [op: typeof Op.grant, kind: number, lease: string, node: string]
  | [op: typeof Op.giveBack, lease: string]
  | [op: typeof Op.failed, kind: number, reason: string]
  | [op: typeof Op.pending, kind: number, reason: string];

/** What an instance has to say for itself. */
export interface InstanceFigures {
  /** Leases that came when nobody waited for one any more. */
  surplus: number;
  /** Demands that were refused for good. */
  failed: number;
  /** Grants by which more was lent than there is. */
  overcommits: number;
  /** Grants of what the node does not have at all. */
  misplaced: number;
  calls: number;
  offers: number;
  /** Calls and offers that were answered with nothing. */
  rejections: number;
  /** News of room that were told. */
  news: number;
  malformed: number;
}

export class Instance {
  readonly requester: Requester | undefined;
  private readonly account: ResourceAccount;
  private readonly held: HeldBook;
  private readonly bidding: Bidding;
  /** What a lease was assigned, until it is granted. */
  private readonly assigned = new Map<string, { resources: Record<string, number>; gpus: number[] }>();
  private readonly idleWorkers: ProcessId[] = [];
  private malformed = 0;

  private constructor(
    private readonly o: InstanceOptions,
    private readonly nc: BiddingOptions["connection"],
  ) {
    const { plan, facts } = o;
    this.account = new ResourceAccount({ ...plan.total });
    this.held = new HeldBook(plan.total, plan.labels);
    const view = new ClusterView();
    for (const fact of facts) view.fact(fact);
    this.bidding = new Bidding({
      connection: nc,
      subjects: o.subjects,
      node: plan.node,
      agent: plan.agent,
      labels: { ...plan.labels },
      account: this.account,
      view,
      idleWorkers: () => this.idleWorkers.length,
      effects: this.effects(),
      onMalformed: () => this.malformed++,
    });
    const { driver } = plan;
    if (driver === undefined) return;
    this.requester = new Requester(plan.node, {
      demand: (kind, want, got) => this.demand(driver, kind, want, got),
      giveBack: (lease, node) => this.send(node as NodeId, [Op.giveBack, lease]),
      placed: o.placed,
    });
  }

  /** @throws ConnectionError, AuthError */
  static async start(o: InstanceOptions): Promise<Instance> {
    const nc = await connectBroker({ ...o.broker, name: `scheduler ${o.plan.node}` });
    const instance = new Instance(o, nc);
    nc.subscribe(inbox(o.plan.node), {
      callback: (error, message) => {
        if (error === null) instance.receive(decodePlain(message.data) as Note);
      },
    });
    instance.bidding.start();
    // One of the nodes of a cluster judges which of them live.
    if (o.plan.index === 0) instance.bidding.standing.followAll(true);
    await nc.flush();
    return instance;
  }

  get index(): number {
    return this.o.plan.index;
  }

  /** Equal to all others of which this is true: it has nothing special, and no program that is served here first. */
  get isPlain(): boolean {
    return this.o.plan.kind === "plain" && this.requester === undefined;
  }

  /** Whether all that the node has is free, and nothing is out. */
  get isWhole(): boolean {
    const { available, total } = this.account;
    return (
      this.held.size === 0 && Object.entries(total).every(([name, amount]) => available[name] === amount)
    );
  }

  /** What is missing at the end, for people. */
  describe(): string {
    const { available, total } = this.account;
    const missing = Object.entries(total)
      .filter(([name, amount]) => available[name] !== amount)
      .map(([name, amount]) => `${name}: ${available[name] ?? 0} of ${amount}`);
    return `node ${this.index} has ${missing.join(", ") || "all resources"} back, ${this.held.size} leases are out`;
  }

  /** Share of the CPUs that is lent, from 0 to 1. */
  get utilization(): number {
    return this.held.share("CPU");
  }

  figures(): InstanceFigures {
    const { callsMade, offersMade, answered, roomTold } = this.bidding.counters;
    return {
      surplus: this.requester?.surplus ?? 0,
      failed: this.requester?.failed ?? 0,
      overcommits: this.held.overcommits,
      misplaced: this.held.misplaced,
      calls: callsMade,
      offers: offersMade,
      rejections: answered.rejections,
      news: roomTold,
      malformed: this.malformed,
    };
  }

  async stop(): Promise<void> {
    this.bidding.stop();
    this.bidding.scheduler.close();
    await this.nc.close();
  }

  private demand(submitter: ProcessId, kind: number, want: number, got: number): void {
    const shape = KINDS[kind]?.shape;
    if (shape === undefined) return;
    const submitterNode = this.o.plan.node;
    this.bidding.scheduler.demand({
      submitter,
      submitterNode,
      job: JOB,
      key: String(kind),
      shape,
      want,
      got,
    });
    this.bidding.standing.changed();
  }

  private receive(note: Note): void {
    switch (note[0]) {
      case Op.grant:
        return this.requester?.granted(note[1], note[2], note[3]);
      case Op.giveBack:
        // The account of its own is told first: what the scheduler lends next may come from this.
        this.held.returned(note[1]);
        this.bidding.scheduler.returned(note[1], true);
        return this.bidding.standing.changed();
      case Op.failed:
        return this.requester?.refused(note[1], note[2]);
      case Op.pending:
        return this.requester?.waits(note[1], note[2]);
    }
  }

  /** To a node; what stays on it goes over no broker, as between the processes of a machine. */
  private send(node: NodeId, note: Note): void {
    if (node === this.o.plan.node) setImmediate(() => this.receive(note));
    else if (!this.nc.isClosed()) this.nc.publish(inbox(node), encodePlain(note));
  }

  private effects(): BiddingOptions["effects"] {
    const { node } = this.o.plan;
    return {
      acquireWorker: () => Promise.resolve(this.idleWorkers.pop() ?? newWorkerId()),
      releaseWorker: (worker, fate) => {
        if (fate === "reuse") this.idleWorkers.push(worker);
        // What it had is given out once it is gone, as a worker with GPUs after each lease.
        else setImmediate(() => this.bidding.scheduler.workerExited(worker, { pid: 0, stderr: [] }));
      },
      assign: (_worker, lease, _submitter, resources, gpus) => this.assigned.set(lease, { resources, gpus }),
      grant: ({ submitter, key, lease }) => {
        const kind = Number(key);
        const { resources, gpus } = this.assigned.get(lease) ?? { resources: {}, gpus: [] };
        this.assigned.delete(lease);
        this.held.granted(lease, resources, KINDS[kind]?.shape.labels ?? {}, gpus);
        this.send(homeOf(submitter), [Op.grant, kind, lease, node]);
        this.bidding.standing.changed();
      },
      fail: (submitter, key, error) => this.send(homeOf(submitter), [Op.failed, Number(key), error.message]),
      pending: (submitter, key, reason) => this.send(homeOf(submitter), [Op.pending, Number(key), reason]),
      coming: () => undefined,
      // A request holds its lease until its time is over, as a task that runs does.
      revoke: () => undefined,
      lost: () => undefined,
      now: () => performance.now(),
      defer: (ms, fn) => {
        const timer = setTimeout(fn, ms).unref();
        return () => clearTimeout(timer);
      },
      random: Math.random,
    };
  }
}

const inbox = (node: string): string => `scale.${node}`;
/** Programs have the name of their node, but for the first letter. */
const homeOf = (program: ProcessId): NodeId => `n${program.slice(1)}` as NodeId;
