/** Directed offers to other nodes: each node once per round, refusals remembered until its next bid. */
import type { NodeId, ProcessId } from "@stingray/protocol";
import type { Ask } from "./ask.js";
import type { Demand, LeaseEffects, LeaseLimits, OfferAnswer } from "./types.js";
import type { ClusterView } from "./view.js";

interface Target {
  readonly node: NodeId;
  readonly agent: ProcessId;
  count: number;
  /** What stands for its leases until the node has answered. */
  readonly names: string[];
}

/** Collects what goes to other nodes in one round, sends it, and books the answers. */
export class Offers {
  readonly #round = new Map<Ask, Map<NodeId, Target>>();
  /** What ends the waiting for a node's answers. */
  readonly #open = new Map<NodeId, Set<() => void>>();
  #names = 0;
  /** The nodes to which the last `flush` sent something. */
  lastSentTo: ReadonlySet<NodeId> = new Set();

  constructor(
    private readonly node: NodeId,
    private readonly view: ClusterView,
    private readonly effects: LeaseEffects,
    private readonly limits: LeaseLimits,
    private readonly onAnswer: () => void,
  ) {}

  /** One unit of the ask is to go there with the next `flush`. */
  add(ask: Ask, node: NodeId, agent: ProcessId): void {
    ask.offered++;
    ask.asking.add(node);
    // In a bundle of a placement group it takes nothing of what the node has free.
    if (!ask.bound) this.view.charge(node, ask.need);
    let targets = this.#round.get(ask);
    if (targets === undefined) this.#round.set(ask, (targets = new Map()));
    let target = targets.get(node);
    if (target === undefined) targets.set(node, (target = { node, agent, count: 0, names: [] }));
    target.count++;
    if (ask.owner.coming === undefined) return;
    const name = `${this.node}.offer.${++this.#names}`;
    target.names.push(name);
    ask.owner.coming(name, true);
  }

  /** The node is dead: it answers no more. */
  nodeGone(node: NodeId): void {
    for (const giveUp of this.#open.get(node) ?? []) giveUp();
  }

  flush(): void {
    const round = [...this.#round];
    this.#round.clear();
    this.lastSentTo = new Set(round.flatMap(([, targets]) => [...targets.keys()]));
    for (const [ask, targets] of round) for (const target of targets.values()) void this.#send(ask, target);
  }

  async #send(ask: Ask, target: Target): Promise<void> {
    const { node, count } = target;
    const sequence = (this.view.get(node) ?? this.view.guess(node))?.sequence ?? -Infinity;
    const answer = await this.#ask(ask, target);
    const granted = Math.min(count, answer?.granted ?? 0);
    const now = this.effects.now();
    ask.offered -= count;
    ask.asking.delete(node);
    if (answer !== undefined) this.view.observe(answer.bid, now);
    ask.trail.add(now, "offer", describeAnswer(answer, count), { node });
    if (granted > 0) ask.promised(node, granted, now, answer?.leases);
    for (const name of target.names) ask.owner.coming?.(name, false);
    if (granted < count) ask.refused.set(node, Math.max(sequence, answer?.bid.sequence ?? -Infinity));
    // A node that died in the meantime keeps no promise.
    if (granted > 0 && this.view.isGone(node)) ask.nodeGone(node);
    this.onAnswer();
  }

  /** Undefined when there was no answer. */
  #ask(ask: Ask, target: Target): Promise<OfferAnswer | undefined> {
    const { node, agent, count } = target;
    const submitter = ask.process;
    if (submitter === undefined) return Promise.resolve(undefined);
    const demand = demandOf(ask, submitter, this.node);
    return new Promise((resolve) => {
      const open = this.#open.get(node) ?? new Set();
      this.#open.set(node, open);
      const settle = (answer: OfferAnswer | undefined): void => {
        cancel();
        open.delete(giveUp);
        if (open.size === 0 && this.#open.get(node) === open) this.#open.delete(node);
        resolve(answer);
      };
      const giveUp = (): void => settle(undefined);
      const cancel = this.effects.defer(this.limits.offerTimeoutMs, giveUp);
      open.add(giveUp);
      void this.effects
        .offer({ node, agent }, demand, count)
        .catch(() => undefined)
        .then(settle);
    });
  }
}

/** What is told of an ask to others. */
export function demandOf(ask: Ask, submitter: ProcessId, submitterNode: NodeId): Demand {
  return { submitter, submitterNode, job: ask.job, key: ask.key, shape: ask.shape, want: ask.want };
}

/** For the trail. */
export function describeAnswer(answer: OfferAnswer | undefined, count: number): string {
  if (answer === undefined) return "no answer";
  const { granted, reason } = answer;
  if (granted >= count) return `granted ${granted}`;
  const why = reason ?? "gave no reason";
  return granted > 0 ? `granted ${granted} of ${count}: ${why}` : why;
}
