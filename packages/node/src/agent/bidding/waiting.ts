/**
 * Demand that waits does not poll: its agent listens for news of room, which NATS gives to one of those who wait. Who
 * has no use for them hands them on.
 */
import type { NatsConnection, Subscription } from "@nats-io/nats-core";
import { decodePlain } from "@stingray/broker";
import {
  PROTOCOL_VERSION,
  ProtocolError,
  SCHEDULERS,
  roomNews,
  toError,
  type NodeId,
  type Subjects,
} from "@stingray/protocol";
import { classesOf, type Bid, type ClusterView, type LeaseScheduler } from "@stingray/scheduler";
import { encodeRoom } from "./membership.js";

/** News that so many had no use for are dropped; the knocks of those who wait are the net below. */
const MOST_HOPS = 3;
/** A class that nothing waits for is listened to for so long still: what waits and is served in turns does not flap. */
const LINGER_MS = 1_000;

interface Listening {
  readonly subscription: Subscription;
  leaving: NodeJS.Timeout | undefined;
}

export class Waiting {
  private readonly listening = new Map<string, Listening>();
  /** News that came in, and those that were of use. */
  readonly counters = { news: 0, used: 0 };

  constructor(
    private readonly nc: NatsConnection,
    private readonly subjects: Subjects,
    private readonly own: NodeId,
    private readonly view: ClusterView,
    private readonly scheduler: Pick<LeaseScheduler, "roomAt" | "callAgain">,
    private readonly onMalformed: (where: string, error: Error) => void,
  ) {}

  /** What is waited for now. First the subscription, then one more call: no room that comes in between is missed. */
  update(classes: ReadonlySet<string>): void {
    if (this.nc.isClosed() || this.nc.isDraining()) return;
    for (const name of classes) {
      const known = this.listening.get(name);
      if (known !== undefined) {
        clearTimeout(known.leaving);
        known.leaving = undefined;
        continue;
      }
      const subscription = this.nc.subscribe(this.subjects.demand(name), {
        queue: SCHEDULERS,
        callback: (error, message) => {
          if (error === null) this.heard(name, message.data);
        },
      });
      this.listening.set(name, { subscription, leaving: undefined });
      this.scheduler.callAgain(name);
    }
    for (const [name, known] of this.listening) {
      if (!classes.has(name)) known.leaving ??= setTimeout(() => this.leave(name), LINGER_MS).unref();
    }
  }

  stop(): void {
    for (const name of [...this.listening.keys()]) this.leave(name);
  }

  private leave(name: string): void {
    const known = this.listening.get(name);
    if (known === undefined) return;
    this.listening.delete(name);
    clearTimeout(known.leaving);
    // News that are on their way are handed on.
    if (!known.subscription.isClosed()) known.subscription.drain().catch(() => undefined);
  }

  /** What the node has left of the class when it has granted what was just asked of it; undefined: nothing. */
  private leftOf(name: string, bid: Bid): Bid | undefined {
    const { available } = this.view.get(bid.node) ?? bid;
    const left = classesOf(bid.total, bid.labels, available).get(name) ?? 0;
    return left > 0 && !this.nc.isClosed() ? { ...bid, available } : undefined;
  }

  private heard(name: string, data: Uint8Array): void {
    this.counters.news++;
    try {
      const news = roomNews(decodeVersioned(data), "room");
      const used = news.bid.node !== this.own && this.scheduler.roomAt(news.bid as Bid);
      const left = used ? this.leftOf(name, news.bid as Bid) : undefined;
      if (used) this.counters.used++;
      // Whoever takes a part hands the rest on, to others who wait.
      if (left !== undefined) this.nc.publish(this.subjects.demand(name), encodeRoom({ ...news, bid: left }));
      else if (!used && news.hops < MOST_HOPS && !this.nc.isClosed()) {
        // Not to be heard here again, if nothing waits here any more.
        if (this.listening.get(name)?.leaving !== undefined) this.leave(name);
        this.nc.publish(this.subjects.demand(name), encodeRoom({ bid: news.bid, hops: news.hops + 1 }));
      }
    } catch (thrown) {
      this.onMalformed(this.subjects.demand(name), toError(thrown));
    }
  }
}

function decodeVersioned(data: Uint8Array): unknown {
  let body: unknown;
  try {
    body = decodePlain(data);
  } catch (thrown) {
    throw new ProtocolError(`malformed news of room: no CBOR (${toError(thrown).message})`);
  }
  if (typeof body === "object" && body !== null && "v" in body && body.v !== PROTOCOL_VERSION) {
    throw new ProtocolError(`news of room of another protocol version than ${PROTOCOL_VERSION}`);
  }
  return body;
}
