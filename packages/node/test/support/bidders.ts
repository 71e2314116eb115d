/** Nodes that only bid: schedulers over a real broker, without workers, tables or processes. */
import type { NatsConnection } from "@nats-io/nats-core";
import { connectBroker, type BrokerOptions } from "@stingray/broker/connect";
import {
  Subjects,
  newAgentId,
  newDriverId,
  newJobId,
  newNodeId,
  newWorkerId,
  type JobId,
  type NodeId,
  type ProcessId,
  type Shape,
  type StingrayError,
} from "@stingray/protocol";
import { ClusterView, ResourceAccount, type LeaseLimits } from "@stingray/scheduler";
import { Bidding, type StandingLimits } from "../../src/agent/bidding/mod.js";

export interface BidderOptions {
  total: Record<string, number>;
  labels?: Record<string, string>;
  standing?: Partial<StandingLimits>;
  limits?: Partial<LeaseLimits>;
  heartbeatMs?: number;
}

export interface Granted {
  readonly bidder: Bidder;
  readonly lease: string;
  readonly key: string;
}

/** All that bid together, and the submitters that they grant to. */
export class Bidders {
  readonly all: Bidder[] = [];
  readonly job: JobId = newJobId();
  readonly granted = new Map<ProcessId, (g: Granted) => void>();
  readonly failed: StingrayError[] = [];
  readonly malformed: string[] = [];

  constructor(
    readonly broker: BrokerOptions,
    readonly subjects = new Subjects("st", "bidders"),
  ) {}

  /** @param broker how this one reaches it */
  async add(o: BidderOptions, broker = this.broker): Promise<Bidder> {
    const nc = await connectBroker(broker);
    const bidder = new Bidder(this, nc, o);
    this.all.push(bidder);
    for (const one of this.all) for (const other of this.all) one.view.fact(other.facts);
    bidder.bidding.start();
    await nc.flush();
    return bidder;
  }

  /** A submitter at a bidder. */
  submitter(home: Bidder, shape: Shape, granted: (g: Granted) => void): Submitter {
    const submitter = new Submitter(this.job, newDriverId(), home, shape);
    this.granted.set(submitter.id, (g) => {
      submitter.got++;
      granted(g);
    });
    return submitter;
  }

  async close(): Promise<void> {
    for (const bidder of this.all) await bidder.close();
  }
}

export class Submitter {
  /** Leases that have reached it. */
  got = 0;

  constructor(
    private readonly job: JobId,
    readonly id: ProcessId,
    private readonly home: Bidder,
    private readonly shape: Shape,
  ) {}

  demand(want: number): void {
    const { id, job, shape, home, got } = this;
    home.bidding.scheduler.demand({
      submitter: id,
      submitterNode: home.node,
      job,
      key: "k",
      shape,
      want,
      got,
    });
  }
}

export class Bidder {
  readonly node: NodeId = newNodeId();
  readonly agent: ProcessId = newAgentId();
  readonly view = new ClusterView();
  readonly account: ResourceAccount;
  readonly bidding: Bidding;
  private readonly idle: ProcessId[] = [];
  private closed = false;

  constructor(
    private readonly group: Bidders,
    readonly nc: NatsConnection,
    readonly o: BidderOptions,
  ) {
    this.account = new ResourceAccount(o.total);
    const { node, agent, view, account } = this;
    this.bidding = new Bidding({
      connection: nc,
      subjects: group.subjects,
      node,
      agent,
      labels: o.labels ?? {},
      account,
      view,
      heartbeatMs: o.heartbeatMs,
      standing: o.standing,
      limits: o.limits,
      onMalformed: (where, error) => void group.malformed.push(`${where}: ${error.message}`),
      effects: {
        acquireWorker: () => Promise.resolve(this.idle.pop() ?? newWorkerId()),
        releaseWorker: (worker, fate) => {
          if (fate === "reuse") this.idle.push(worker);
          else setImmediate(() => this.bidding.scheduler.workerExited(worker, { pid: 0, stderr: [] }));
        },
        assign: () => undefined,
        grant: ({ submitter, lease, key }) =>
          setImmediate(() => group.granted.get(submitter)?.({ bidder: this, lease, key })),
        coming: () => undefined,
        revoke: () => undefined,
        fail: (_submitter, _key, error) => void group.failed.push(error),
        pending: () => undefined,
        lost: () => undefined,
        now: () => performance.now(),
        defer: (ms, fn) => {
          const timer = setTimeout(fn, ms).unref();
          return () => clearTimeout(timer);
        },
        random: Math.random,
      },
    });
  }

  get facts() {
    const { node, agent, account, o } = this;
    return { node, agent, total: account.total, labels: o.labels ?? {}, draining: false };
  }

  /** Gone without a word; the others are told by whoever noticed. */
  async die(): Promise<void> {
    await this.close();
    for (const other of this.group.all) if (other !== this) other.view.remove(this.node);
  }

  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    this.bidding.stop();
    this.bidding.scheduler.close();
    await this.nc.close();
  }
}
