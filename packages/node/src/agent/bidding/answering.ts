/** Answers the offers and calls of other agents: grants, passes on, or says why not. Never with silence. */
import type { Msg } from "@nats-io/nats-core";
import {
  Bids,
  ProtocolError,
  toError,
  type JobId,
  type LeaseAnswer,
  type LeaseAsk,
  type NodeId,
  type ProcessId,
  type SchedulingSpec,
  type Subjects,
} from "@stingray/protocol";
import type { Bid, ClusterView, LeaseScheduler, OfferedDemand } from "@stingray/scheduler";
import { decodeAsk, encodeAnswer, encodeRefusal } from "./envelope.js";
import { OfferBook } from "./offer-book.js";
import type { PlainRequests } from "./requests.js";

/** Nodes that are named to try next. */
const MOST_OTHERS = 4;

export interface AnsweringParts {
  own: { node: NodeId; agent: ProcessId };
  subjects: Subjects;
  scheduler: LeaseScheduler;
  view: ClusterView;
  requests: PlainRequests;
  /** A new id of an offer of this node's. */
  nextOffer: () => string;
  bid: () => Bid;
  now: () => number;
  /** Whether the job is over: nothing more is granted for it. */
  isOver: (job: string) => boolean;
  /** What has to be awaited before an offer of this `scheduling` can be judged; undefined: nothing. Never rejects. */
  beforeUse: (scheduling: SchedulingSpec | undefined) => Promise<void> | undefined;
  /** Where a submitter runs, as its agent says. */
  met: (process: ProcessId, node: NodeId | undefined) => void;
  onMalformed: (where: string, error: Error) => void;
}

export interface AnsweringCounters {
  /** Offers and calls that came in. */
  offers: number;
  calls: number;
  /** Of them, those of which nothing was granted, and calls that were passed on. */
  rejections: number;
  passedOn: number;
  /** Stale, unknown or unreadable ones, which were answered with an error. */
  errors: number;
}

export class Answering {
  readonly counters: AnsweringCounters = { offers: 0, calls: 0, rejections: 0, passedOn: 0, errors: 0 };
  private readonly book: OfferBook<LeaseAnswer>;

  constructor(private readonly parts: AnsweringParts) {
    this.book = new OfferBook(parts.now);
  }

  /** Takes in one message of the node's own subject or of a capability subject. */
  readonly take = (error: Error | null, message: Msg): void => {
    if (error !== null) return; // a permission error: the connection's watcher reports it
    try {
      // Answered before the promise of a worker can settle, so that the answer is ahead of the grants.
      const answer = this.answer(message);
      if (answer instanceof Promise) void this.respondLater(message, answer);
      else respond(message, encodeAnswer(answer));
    } catch (thrown) {
      this.refuse(message, thrown);
    }
  };

  private async respondLater(message: Msg, answer: Promise<LeaseAnswer>): Promise<void> {
    try {
      respond(message, encodeAnswer(await answer));
    } catch (thrown) {
      this.refuse(message, thrown);
    }
  }

  private refuse(message: Msg, thrown: unknown): void {
    this.counters.errors++;
    if (thrown instanceof ProtocolError) this.parts.onMalformed(message.subject, thrown);
    respond(message, encodeRefusal(toError(thrown)));
  }

  private answer(message: Msg): LeaseAnswer | Promise<LeaseAnswer> | object {
    const { kind, ask } = decodeAsk(message.data);
    if (kind === Bids.offer.name) {
      this.counters.offers++;
      const offer = Bids.offer.ask(ask, kind);
      return this.book.once(offer.offer, () => this.offer(offer));
    }
    if (kind === Bids.call.name) {
      this.counters.calls++;
      const call = Bids.call.ask(ask, kind);
      return this.book.once(call.offer, () => this.call(call));
    }
    if (kind === Bids.room.name) {
      this.parts.scheduler.roomAt(Bids.room.ask(ask, kind).bid as Bid);
      return {};
    }
    throw new ProtocolError(
      `a node knows no request "${kind.slice(0, 100)}"; run the same version on all nodes`,
    );
  }

  private offer(ask: LeaseAsk): LeaseAnswer | Promise<LeaseAnswer> {
    const before = this.parts.beforeUse(ask.shape.scheduling);
    return before === undefined ? this.offerNow(ask) : before.then(() => this.offerNow(ask));
  }

  private offerNow(ask: LeaseAsk): LeaseAnswer {
    return this.refusal(ask) ?? this.counted(this.parts.scheduler.offered(demandOf(ask)), ask);
  }

  private call(ask: LeaseAsk): LeaseAnswer | Promise<LeaseAnswer> {
    const refused = this.refusal(ask);
    if (refused !== undefined) return refused;
    const { answer, better } = this.parts.scheduler.called(demandOf(ask));
    if (answer.granted >= ask.count || better.length === 0) return this.counted(answer, ask);
    return this.callFurther(ask, answer, better);
  }

  /** The best of those that have room gets what is left; the others are named. */
  private async callFurther(
    ask: LeaseAsk,
    answer: LeaseAnswer,
    better: readonly Bid[],
  ): Promise<LeaseAnswer> {
    const left = ask.count - answer.granted;
    const [best] = better;
    if (best === undefined) return answer;
    const passed = await this.passOn(ask, best, left);
    const others = better.filter(({ node }) => node !== best.node).slice(0, MOST_OTHERS);
    const whole: LeaseAnswer = {
      ...answer,
      bid: this.parts.bid(),
      ...(passed === undefined
        ? {}
        : { passed: { node: best.node, granted: passed.granted, leases: passed.leases } }),
      others: (passed === undefined ? others : [passed.bid as Bid, ...others]).map(bidOnly),
    };
    return this.counted(whole, ask);
  }

  /** What the better node did; undefined when it did not answer in half of the asker's time. */
  private async passOn(ask: LeaseAsk, to: Bid, count: number): Promise<LeaseAnswer | undefined> {
    const { own, subjects, requests, view, nextOffer, now } = this.parts;
    this.counters.passedOn++;
    const deadlineMs = Math.floor(ask.deadlineMs / 2);
    const offer: LeaseAsk = {
      ...ask,
      offer: nextOffer(),
      asker: own.agent,
      askerNode: own.node,
      count,
      deadlineMs,
    };
    view.charge(to.node, scaled(ask.shape.resources, count));
    try {
      const answer = await requests.request(subjects.node(to.node), Bids.offer, offer, deadlineMs);
      if (answer === "nobody") return undefined;
      view.observe(answer.bid as Bid, now());
      return answer;
    } catch {
      return undefined; // the asker hears of the others, and asks them itself
    }
  }

  private refusal(ask: LeaseAsk): LeaseAnswer | undefined {
    this.parts.met(ask.submitter as ProcessId, ask.submitterNode as NodeId | undefined);
    if (!this.parts.isOver(ask.job)) return undefined;
    return this.counted({ granted: 0, reason: `job ${ask.job} is over`, bid: this.parts.bid() }, ask);
  }

  private counted(answer: LeaseAnswer, ask: LeaseAsk): LeaseAnswer {
    if (ask.count > 0 && answer.granted + (answer.passed?.granted ?? 0) === 0) this.counters.rejections++;
    return answer;
  }
}

/** Nobody can be told of what has no reply subject. */
function respond(message: Msg, data: Uint8Array): void {
  if (message.reply !== undefined && message.reply !== "") message.respond(data);
}

function demandOf(ask: LeaseAsk): OfferedDemand {
  return {
    submitter: ask.submitter as ProcessId,
    submitterNode: ask.submitterNode as NodeId | undefined,
    askerNode: ask.askerNode as NodeId,
    job: ask.job as JobId,
    key: ask.key,
    shape: ask.shape,
    count: ask.count,
  };
}

/** What is known of a node may be its whole heartbeat. */
const bidOnly = (b: Bid): Bid => ({
  node: b.node,
  agent: b.agent,
  available: b.available,
  total: b.total,
  labels: b.labels,
  queued: b.queued,
  idleWorkers: b.idleWorkers,
  draining: b.draining,
  sequence: Math.max(0, b.sequence),
});

const scaled = (resources: Record<string, number>, by: number): Record<string, number> =>
  Object.fromEntries(Object.entries(resources).map(([name, amount]) => [name, amount * by]));
