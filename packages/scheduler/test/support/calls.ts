/** A network on which nodes do not hear each other's bids: calls, news of room and invitations, with delays and losses. */
import { WorkerCrashedError } from "@stingray/protocol";
import { classesOf, type Bid, type CallAnswer, type Demand, type LeaseEffects } from "../../src/mod.js";
import type { SimNode, World } from "./world.js";

export class Network {
  /** Who waits for news of room, by class. */
  readonly #waiting = new Map<string, Set<SimNode>>();
  /** What each node had free when it last looked. */
  readonly #free = new Map<SimNode, Map<string, number>>();
  readonly #looking = new Set<SimNode>();
  calls = 0;
  news = 0;

  /** @param loss share of the messages that are lost, from 0 to 1 */
  constructor(
    readonly world: World,
    readonly loss: number,
  ) {}

  /** Every node knows what every other one owns. To be called whenever one joins or what it has changes. */
  tell(): void {
    for (const one of this.world.nodes) {
      if (!one.alive) continue;
      for (const { node, agent, labels, account, alive } of this.world.nodes) {
        if (alive) one.view.fact({ node, agent, labels, total: account.total, draining: false });
      }
    }
  }

  /** What a node does over the network. */
  effects(self: SimNode): Required<Pick<LeaseEffects, "call" | "waiting" | "settled">> {
    return {
      call: (name, demand, count) => this.#call(self, name, demand, count),
      waiting: (classes) => {
        for (const [name, nodes] of this.#waiting) if (!classes.has(name)) nodes.delete(self);
        for (const name of classes) {
          const nodes = this.#waiting.get(name) ?? new Set();
          this.#waiting.set(name, nodes);
          if (nodes.has(self)) continue;
          nodes.add(self);
          self.scheduler.callAgain(name);
        }
      },
      settled: () => {
        if (this.#looking.has(self)) return;
        this.#looking.add(self);
        this.world.clock.defer(0, () => {
          this.#looking.delete(self);
          if (self.alive && !this.world.stopped) this.#look(self);
        });
      },
    };
  }

  #lost(): boolean {
    return this.world.random() < this.loss;
  }

  #members(name: string): SimNode[] {
    return this.world.nodes.filter(
      ({ alive, account, labels }) =>
        alive && (classesOf(account.total, labels, account.available).get(name) ?? 0) > 0,
    );
  }

  async #call(self: SimNode, name: string, demand: Demand, count: number): Promise<CallAnswer | "nobody"> {
    this.calls++;
    await this.world.delay();
    const members = this.#members(name).filter((node) => node !== self);
    const target = members[Math.floor(this.world.random() * members.length)];
    if (target === undefined) return "nobody";
    for (const resource of Object.keys(demand.shape.resources)) {
      if (name !== "cpu" && resource !== "CPU" && !(target.account.total[resource] ?? 0))
        throw new Error(`${JSON.stringify(demand.shape)} was called to a node without ${resource}`);
    }
    if (this.#lost()) return this.world.pause(500).then(() => Promise.reject(new WorkerCrashedError("lost")));
    const { answer, better } = target.scheduler.called({ ...demand, count, askerNode: self.node });
    await this.world.delay();
    if (!target.alive || this.#lost()) throw new WorkerCrashedError("no answer");
    return { ...answer, others: better.slice(0, 4) };
  }

  /** Tells those who wait of room that was not there before, and those who were refused. */
  #look(self: SimNode): void {
    const { account, labels } = self;
    const before = this.#free.get(self) ?? new Map<string, number>();
    const free = classesOf(account.total, labels, account.available);
    this.#free.set(self, free);
    for (const [name, amount] of free) {
      if (amount > (before.get(name) ?? 0)) this.#tellRoom(name, self.fresh(), self, 0);
    }
    const invited = self.scheduler.invitations();
    for (const node of this.world.nodes) {
      if (!invited.has(node.node)) continue;
      const bid = self.fresh();
      if (!this.#lost()) this.world.send(() => node.alive && node.scheduler.roomAt(bid));
    }
  }

  /** To one of those who wait; who has no use for it hands it on. */
  #tellRoom(name: string, bid: Bid, from: SimNode, hops: number): void {
    this.news++;
    const waiting = [...(this.#waiting.get(name) ?? [])].filter((node) => node.alive && node !== from);
    const one = waiting[Math.floor(this.world.random() * waiting.length)];
    if (one === undefined || this.#lost()) return;
    this.world.send(() => {
      if (!one.alive || this.world.stopped || one.scheduler.roomAt(bid)) return;
      if (hops < 3) this.#tellRoom(name, bid, from, hops + 1);
    });
  }
}
