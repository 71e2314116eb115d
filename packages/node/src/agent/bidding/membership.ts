/**
 * Which capability subjects a node listens to: those of the resource classes that it owns and has some of free. So NATS
 * itself keeps requests for a resource from nodes without it, and from full ones. It tells of its room where demand waits.
 */
import type { NatsConnection, Subscription } from "@nats-io/nats-core";
import { encodePlain } from "@stingray/broker";
import { PROTOCOL_VERSION, SCHEDULERS, type RoomNews, type Subjects } from "@stingray/protocol";
import type { Bid } from "@stingray/scheduler";
import type { Answering } from "./answering.js";

export class Membership {
  private readonly joined = new Map<string, { subscription: Subscription; free: number }>();
  /** News of room that were sent. */
  news = 0;

  constructor(
    private readonly nc: NatsConnection,
    private readonly subjects: Subjects,
    private readonly answering: Answering,
  ) {}

  /** The classes whose calls come here now. */
  get classes(): string[] {
    return [...this.joined.keys()];
  }

  /**
   * Takes in what is free of each class now. `everyIncrease`: whoever waits is told whenever there is more room, not only
   * when there is some where there was none. First the subscription, then the news: who asks in between finds this node.
   */
  update(free: ReadonlyMap<string, number>, everyIncrease: boolean, bid: () => Bid): void {
    if (this.nc.isClosed() || this.nc.isDraining()) return;
    for (const [name, { subscription }] of this.joined) {
      if ((free.get(name) ?? 0) > 0) continue;
      this.joined.delete(name);
      leave(subscription);
    }
    const tell: string[] = [];
    for (const [name, amount] of free) {
      if (amount <= 0) continue;
      const member = this.joined.get(name);
      if (member === undefined) {
        const subscription = this.nc.subscribe(this.subjects.capability(name), {
          queue: SCHEDULERS,
          callback: this.answering.take,
        });
        this.joined.set(name, { subscription, free: amount });
        tell.push(name);
      } else if (member.free !== amount) {
        const more = amount > member.free;
        member.free = amount;
        if (more && everyIncrease) tell.push(name);
      }
    }
    if (tell.length === 0) return;
    const news = encodeRoom({ bid: bid(), hops: 0 });
    for (const name of tell) {
      this.news++;
      this.nc.publish(this.subjects.demand(name), news);
    }
  }

  stop(): void {
    for (const { subscription } of this.joined.values()) {
      leave(subscription);
    }
    this.joined.clear();
  }
}

/** What the server has sent here already is answered still: a call that is dropped would cost its asker seconds. */
function leave(subscription: Subscription): void {
  if (!subscription.isClosed()) subscription.drain().catch(() => undefined); // the connection is closed, then
}

/** `{ v, bid, hops }` */
export function encodeRoom(news: RoomNews): Uint8Array {
  return encodePlain({ v: PROTOCOL_VERSION, ...news });
}
