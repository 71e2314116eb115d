/** One scheduler of the cluster, without workers: its connection, its account, its view of the others, its programs. */
import { connectBroker } from "@stingray/broker/connect";
import type { BrokerOptions } from "@stingray/broker/connect";
import { decodePlain, encodePlain } from "@stingray/broker";
import { ClusterView, LeaseScheduler, ResourceAccount } from "@stingray/scheduler";
import type { LeaseEffects } from "@stingray/scheduler";
import { newWorkerId, type NodeId, type ProcessId, type Subjects } from "@stingray/protocol";
import { Exchange } from "./exchange.js";
import type { Connection } from "./exchange.js";
import { HeldBook } from "./held.js";
import { JOB, KINDS } from "./plan.js";
import type { NodePlan } from "./plan.js";
import { Requester } from "./requester.js";

export interface InstanceOptions {
  broker: BrokerOptions;
  subjects: Subjects;
  plan: NodePlan;
  /** All nodes of the cluster, this one included. */
  nodes: readonly NodePlan[];
  placed: (kind: number, ms: number, remote: boolean) => void;
}

/** What goes over the broker beside the scheduling itself: grants to programs and leases that they give back. */
const Note = { grant: 1, giveBack: 2, failed: 3, pending: 4 } as const;
type NoteMessage =
  | [op: typeof Note.grant, kind: number, lease: string, node: string]
  | [op: typeof Note.giveBack, lease: string]
  | [op: typeof Note.failed, kind: number, reason: string]
  | [op: typeof Note.pending, kind: number, reason: string];

/** What an instance has to say for itself. */
export interface InstanceFigures {
  surplus: number;
  failed: number;
  overcommits: number;
  misplaced: number;
}

export class Instance {
  readonly requester: Requester | undefined;
  private readonly account: ResourceAccount;
  private readonly held: HeldBook;
  private readonly scheduler: LeaseScheduler;
  /** What a lease was assigned, until it is granted. */
  private readonly assigned = new Map<string, { resources: Record<string, number>; gpus: number[] }>();
  private readonly idleWorkers: ProcessId[] = [];
  private readonly view = new ClusterView();
  private readonly exchange: Exchange;

  private constructor(
    private readonly o: InstanceOptions,
    private readonly nc: Connection,
  ) {
    const { plan } = o;
    this.account = new ResourceAccount({ ...plan.total });
    this.held = new HeldBook(plan.total, plan.labels);
    this.exchange = new Exchange(nc, o.subjects, plan, this.account, this.view);
    this.scheduler = new LeaseScheduler({
      node: plan.node,
      labels: { ...plan.labels },
      account: this.account,
      view: this.view,
      effects: this.effects(),
    });
    const { driver } = plan;
    if (driver === undefined) return;
    this.requester = new Requester(plan.node, {
      demand: (kind, want) => this.demand(driver, kind, want),
      giveBack: (lease, node) => this.send(node as NodeId, [Note.giveBack, lease]),
      placed: o.placed,
    });
  }

  /** @throws ConnectionError, AuthError */
  static async start(o: InstanceOptions): Promise<Instance> {
    const nc = await connectBroker({ ...o.broker, name: `scheduler ${o.plan.node}` });
    const instance = new Instance(o, nc);
    nc.subscribe(inbox(o.plan.node), {
      callback: (error, message) => {
        if (!error) instance.receive(decodePlain(message.data) as NoteMessage);
      },
    });
    instance.exchange.start(instance.scheduler);
    await nc.flush();
    return instance;
  }

  /** Whether all that the node has is free, and nothing is out. */
  get isWhole(): boolean {
    const { available, total } = this.account;
    return (
      this.held.size === 0 && Object.entries(total).every(([name, amount]) => available[name] === amount)
    );
  }

  get index(): number {
    return this.o.plan.index;
  }

  get isPlain(): boolean {
    return this.o.plan.kind === "plain";
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
    return {
      surplus: this.requester?.surplus ?? 0,
      failed: this.requester?.failed ?? 0,
      overcommits: this.held.overcommits,
      misplaced: this.held.misplaced,
    };
  }

  async stop(): Promise<void> {
    this.exchange.stop();
    this.scheduler.close();
    await this.nc.close();
  }

  private demand(submitter: ProcessId, kind: number, want: number): void {
    const { shape } = KINDS[kind] ?? {};
    if (shape === undefined) return;
    const { node } = this.o.plan;
    this.scheduler.demand({ submitter, submitterNode: node, job: JOB, key: String(kind), shape, want });
  }

  private receive(note: NoteMessage): void {
    switch (note[0]) {
      case Note.grant:
        return this.requester?.granted(note[1], note[2], note[3]);
      case Note.giveBack:
        // The account of its own is told first: what the scheduler lends next may come from this.
        this.held.returned(note[1]);
        this.scheduler.returned(note[1], true);
        return this.exchange.changed();
      case Note.failed:
        return this.requester?.refused(note[1], note[2]);
      case Note.pending:
        return this.requester?.waits(note[1], note[2]);
    }
  }

  /** To a node; what stays on it goes over no broker, as between the processes of a machine. */
  private send(node: NodeId, note: NoteMessage): void {
    if (node === this.o.plan.node) setImmediate(() => this.receive(note));
    else if (!this.nc.isClosed()) this.nc.publish(inbox(node), encodePlain(note));
  }

  private effects(): LeaseEffects {
    const { node } = this.o.plan;
    return {
      acquireWorker: () => Promise.resolve(this.idleWorkers.pop() ?? newWorkerId()),
      releaseWorker: (worker) => void this.idleWorkers.push(worker),
      assign: (_worker, lease, _submitter, resources, gpus) => this.assigned.set(lease, { resources, gpus }),
      grant: ({ submitter, key, lease }) => {
        const kind = Number(key);
        const { resources, gpus } = this.assigned.get(lease) ?? { resources: {}, gpus: [] };
        this.assigned.delete(lease);
        this.held.granted(lease, resources, KINDS[kind]?.shape.labels ?? {}, gpus);
        this.send(homeOf(submitter), [Note.grant, kind, lease, node]);
        this.exchange.changed();
      },
      fail: (submitter, key, error) =>
        this.send(homeOf(submitter), [Note.failed, Number(key), error.message]),
      pending: (submitter, key, reason) => this.send(homeOf(submitter), [Note.pending, Number(key), reason]),
      coming: () => undefined,
      // A request holds its lease until its time is over, as a task that runs does.
      revoke: () => undefined,
      lost: () => undefined,
      offer: this.exchange.offer,
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
