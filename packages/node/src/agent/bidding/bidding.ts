/**
 * A node's part in the scheduling of a cluster, over one NATS connection: its scheduler, its standing bid, the calls and
 * offers that it makes and answers. Needs no workers and no tables, so that many can be simulated in one process.
 */
import {
  Bids,
  ConnectionError,
  newJobId,
  type LeaseAsk,
  type NodeId,
  type ProcessId,
  type Shape,
} from "@stingray/protocol";
import {
  LeaseScheduler,
  callClass,
  classesOf,
  type Bid,
  type CallAnswer,
  type Demand,
  type OfferAnswer,
} from "@stingray/scheduler";
import type { Heartbeat } from "../../feed/mod.js";
import { Answering } from "./answering.js";
import { encodeAsk } from "./envelope.js";
import type { BiddingCounters, BiddingOptions } from "./options.js";
import { Membership } from "./membership.js";
import { PlainRequests } from "./requests.js";
import { STANDING_LIMITS, StandingBids } from "./standing-bids.js";
import { Waiting } from "./waiting.js";

/** How long another agent may take to answer, in milliseconds. Who is called may have to ask a third one. */
const OFFER_MS = 5_000;
const CALL_MS = 3_000;

export class Bidding {
  readonly scheduler: LeaseScheduler;
  readonly standing: StandingBids;
  private readonly requests: PlainRequests;
  private readonly answering: Answering;
  private readonly membership: Membership;
  private readonly waiting: Waiting;
  private offers = 0;
  private offersMade = 0;
  private callsMade = 0;
  private settling: NodeJS.Immediate | undefined;
  private started = false;
  private stopListening: (() => void) | undefined;

  /** Nothing is sent or heard before `start`. */
  constructor(private readonly o: BiddingOptions) {
    const { connection, subjects, node, agent, labels, account, view, effects } = o;
    const onMalformed = o.onMalformed ?? (() => undefined);
    this.requests = new PlainRequests(connection, subjects, node);
    this.scheduler = new LeaseScheduler({
      node,
      labels,
      account,
      view,
      ...(o.limits === undefined ? {} : { limits: o.limits }),
      ...(o.bundles === undefined ? {} : { bundles: o.bundles }),
      ...(o.groups === undefined ? {} : { groups: o.groups }),
      bid: () => this.bid(),
      effects: {
        ...effects,
        offer: (to, demand, count) => this.offer(to.node, demand, count),
        call: (name, demand, count) => this.call(name, demand, count),
        waiting: (classes) => this.started && this.waiting.update(classes),
        settled: () => this.settled(),
      },
    });
    this.answering = new Answering({
      own: { node, agent },
      subjects,
      scheduler: this.scheduler,
      view,
      requests: this.requests,
      nextOffer: () => this.nextOffer(),
      bid: () => this.bid(),
      now: effects.now,
      isOver: o.isOver ?? (() => false),
      beforeUse: o.beforeUse ?? (() => undefined),
      met: o.met ?? (() => undefined),
      onMalformed,
    });
    this.membership = new Membership(connection, subjects, this.answering);
    this.waiting = new Waiting(connection, subjects, node, view, this.scheduler, onMalformed);
    this.standing = new StandingBids(
      connection,
      subjects,
      node,
      view,
      o.heartbeatMs ?? 1_000,
      {
        state: () => ({ ...(o.state?.() ?? NOTHING), ...this.bidWithoutSequence() }),
        heard: o.heard ?? ((h) => void (h.node !== node && view.update(h, effects.now()))),
        feed: o.feed ?? {},
        random: effects.random,
      },
      { ...STANDING_LIMITS, ...o.standing },
    );
  }

  /** Takes part from now on. */
  start(): void {
    this.started = true;
    this.requests.start();
    const own = this.o.connection.subscribe(this.o.subjects.node(this.o.node), {
      callback: this.answering.take,
    });
    this.stopListening = () => {
      if (!own.isClosed()) own.unsubscribe();
    };
    this.standing.start();
    this.join();
  }

  /** Hears and says nothing any more. The scheduler is closed by whoever ends the node. */
  stop(): void {
    this.started = false;
    clearImmediate(this.settling);
    this.membership.stop();
    this.waiting.stop();
    this.standing.stop();
    this.stopListening?.();
    this.requests.stop();
  }

  /** What this node has free at this moment, as others are told. */
  bid(): Bid {
    return { ...this.bidWithoutSequence(), sequence: this.standing.sequence };
  }

  /** The resource classes whose calls come here now. */
  get classes(): string[] {
    return this.membership.classes;
  }

  /** Has a node that has some of what the shape needs tell its bid, and those that it knows of, into the view. Never rejects. */
  async look(shape: Shape): Promise<void> {
    const name = callClass(shape);
    if (name === undefined) return;
    const { node, agent, subjects, view, effects } = this.o;
    const about = { submitter: agent, job: newJobId(), key: "", shape };
    try {
      const ask = this.ask(about, 0, CALL_MS);
      const answer = await this.requests.request(subjects.capability(name), Bids.call, ask, CALL_MS);
      if (answer === "nobody") return;
      for (const bid of [...(answer.others ?? []), answer.bid])
        if (bid.node !== node) view.observe(bid as Bid, effects.now());
    } catch {
      // Whoever needs it looks again, and asks nodes by what they own meanwhile.
    }
  }

  /** Heartbeats of all `expected` nodes, as many as answer in time. */
  census(expected: ReadonlySet<string>, timeoutMs: number): Promise<Heartbeat[]> {
    return this.standing.takeCensus(this.requests, expected, timeoutMs);
  }

  get counters(): BiddingCounters {
    return {
      ...this.requests.counters,
      offersMade: this.offersMade,
      callsMade: this.callsMade,
      answered: { ...this.answering.counters },
      heartbeatsSent: this.standing.sequence,
      heartbeatsHeard: this.standing.heardCount,
      roomTold: this.membership.news,
      roomHeard: this.waiting.counters.news,
      roomUsed: this.waiting.counters.used,
    };
  }

  private async offer(to: NodeId, demand: Demand, count: number): Promise<OfferAnswer> {
    this.offersMade++;
    const ask = this.ask(demand, count, OFFER_MS);
    const answer = await this.requests.request(this.o.subjects.node(to), Bids.offer, ask, OFFER_MS);
    if (answer === "nobody")
      throw new ConnectionError(`node ${to} does not listen: it has left, or is about to join`);
    return answer as OfferAnswer;
  }

  private async call(name: string, demand: Demand, count: number): Promise<CallAnswer | "nobody"> {
    this.callsMade++;
    const ask = this.ask(demand, count, CALL_MS);
    const answer = await this.requests.request(this.o.subjects.capability(name), Bids.call, ask, CALL_MS);
    return answer as CallAnswer | "nobody";
  }

  private ask(
    demand: { submitter: ProcessId; job: string; key: string; shape: Shape },
    count: number,
    deadlineMs: number,
  ): LeaseAsk {
    const { agent, node, nodeOf } = this.o;
    const { submitter, job, key, shape } = demand;
    // A driver without a node must not be taken for dead with this one.
    const submitterNode = nodeOf === undefined ? node : nodeOf(submitter);
    return {
      offer: this.nextOffer(),
      asker: agent,
      askerNode: node,
      job,
      submitter,
      submitterNode,
      key,
      shape,
      count,
      deadlineMs,
    };
  }

  private nextOffer(): string {
    return `${this.o.node}.${++this.offers}`;
  }

  private bidWithoutSequence(): Omit<Bid, "sequence"> {
    const { node, agent, account, labels, idleWorkers } = this.o;
    return {
      node,
      agent,
      available: account.available,
      total: account.total,
      labels,
      queued: this.scheduler.waiting,
      idleWorkers: idleWorkers?.() ?? 0,
      draining: this.scheduler.draining,
    };
  }

  /** The books changed, perhaps in several steps: once they are done, others are told. */
  private settled(): void {
    if (!this.started || this.settling !== undefined) return;
    this.settling = setImmediate(() => {
      this.settling = undefined;
      this.join();
    });
  }

  private join(): void {
    if (!this.started) return;
    const { account, labels } = this.o;
    const free = this.scheduler.draining
      ? new Map<string, number>()
      : classesOf(account.total, labels, account.available);
    this.membership.update(free, this.standing.isLarge, () => this.freshBid());
    const invited = this.scheduler.invitations();
    if (invited.size === 0 || this.o.connection.isClosed()) return;
    const news = encodeAsk(Bids.room, { bid: this.freshBid(), hops: 0 });
    for (const node of invited) this.o.connection.publish(this.o.subjects.node(node), news);
  }

  /** Newer than whatever was said of it before, refusals too. */
  private freshBid(): Bid {
    this.standing.sequence++;
    return this.bid();
  }
}

/** What a node says of itself that is nothing but a bidder. */
const NOTHING: Omit<Heartbeat, keyof Bid> = {
  hostname: "",
  pid: process.pid,
  workers: 0,
  actors: 0,
  storeUsed: 0,
  storeCapacity: 0,
  state: "ALIVE",
  pending: [],
};
