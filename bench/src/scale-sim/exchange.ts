/** How an instance hears of the others and makes them offers. */
import { decodePlain, encodePlain } from "@stingray/broker";
import type { connectBroker } from "@stingray/broker/connect";
import type { Bid, ClusterView, LeaseEffects, LeaseScheduler, ResourceAccount } from "@stingray/scheduler";
import type { Subjects } from "@stingray/protocol";
import type { NodePlan } from "./plan.js";

export type Connection = Awaited<ReturnType<typeof connectBroker>>;
type OfferedDemand = Parameters<LeaseScheduler["offered"]>[0];

const PERIOD_MS = 1_000;
const SETTLE_MS = 50;
const OFFER_MS = 5_000;

export class Exchange {
  private sequence = 0;
  private beat: NodeJS.Timeout | undefined;
  private soon: NodeJS.Timeout | undefined;
  private lastSent = -Infinity;

  constructor(
    private readonly nc: Connection,
    private readonly subjects: Subjects,
    private readonly plan: NodePlan,
    private readonly account: ResourceAccount,
    private readonly view: ClusterView,
  ) {}

  start(scheduler: LeaseScheduler): void {
    const { nc, subjects, plan } = this;
    nc.subscribe(subjects.heartbeats(), {
      callback: (error, message) => {
        if (error) return;
        const bid = decodePlain(message.data) as Bid;
        if (bid.node !== plan.node) this.view.update(bid, performance.now());
      },
    });
    nc.subscribe(subjects.node(plan.node), {
      callback: (error, message) => {
        if (!error)
          message.respond(encodePlain(scheduler.offered(decodePlain(message.data) as OfferedDemand)));
      },
    });
    this.beat = setInterval(() => this.send(), PERIOD_MS);
    this.send();
  }

  stop(): void {
    clearInterval(this.beat);
    clearTimeout(this.soon);
  }

  changed(): void {
    if (this.soon !== undefined || this.beat === undefined) return;
    const wait = Math.max(1, this.lastSent + SETTLE_MS - performance.now());
    this.soon = setTimeout(() => {
      this.soon = undefined;
      this.send();
    }, wait);
  }

  offer: LeaseEffects["offer"] = async (to, demand, count) => {
    const { submitter, submitterNode, job, key, shape } = demand;
    const body = encodePlain({ submitter, submitterNode, job, key, shape, count });
    const answer = await this.nc.request(this.subjects.node(to.node), body, { timeout: OFFER_MS });
    return decodePlain(answer.data) as Awaited<ReturnType<LeaseEffects["offer"]>>;
  };

  private send(): void {
    if (this.nc.isClosed()) return;
    this.lastSent = performance.now();
    const { node, agent, labels, total } = this.plan;
    const { available } = this.account;
    const rest = { queued: 0, idleWorkers: 0, draining: false, sequence: ++this.sequence };
    this.nc.publish(
      this.subjects.heartbeat(node),
      encodePlain({ node, agent, available, total, labels, ...rest }),
    );
  }
}
