/** Calls to a resource class: whoever has some of it free answers, one agent each time. */
import type { NodeId } from "@stingray/protocol";
import type { Ask } from "./ask.js";
import { demandOf, describeAnswer } from "./offers.js";
import type { CallAnswer, LeaseEffects, LeaseLimits } from "./types.js";
import type { ClusterView } from "./view.js";

/** Open calls of one ask. A wide demand reaches many nodes at once; each of them may pass a part on. */
const MOST_OPEN = 8;
/** So many calls in a row may miss before the next one waits: who was asked may just have been the wrong one. */
const MOST_MISSES = 3;
/** The most leases of one call; what is left of a large demand is called for again. */
const MOST_PER_CALL = 64;

/** Collects what is to be called for in one round, sends it, and books the answers. */
export class Calls {
  readonly #round = new Map<Ask, { class: string; count: number; names: string[] }>();
  readonly #open = new Map<Ask, number>();
  #names = 0;

  constructor(
    private readonly node: NodeId,
    private readonly view: ClusterView,
    private readonly effects: LeaseEffects,
    private readonly limits: LeaseLimits,
    private readonly onAnswer: () => void,
  ) {}

  /** Whether one more unit may be called for in this round. */
  hasRoom(ask: Ask): boolean {
    const open = this.#open.get(ask) ?? 0;
    const perCall = isSpread(ask) ? 1 : MOST_PER_CALL;
    return (this.#round.get(ask)?.count ?? 0) < (MOST_OPEN - open) * perCall;
  }

  /** One unit of the ask is to be called for with the next `flush`. */
  add(ask: Ask, resourceClass: string): void {
    ask.offered++;
    let round = this.#round.get(ask);
    if (round === undefined) this.#round.set(ask, (round = { class: resourceClass, count: 0, names: [] }));
    round.count++;
    if (ask.owner.coming === undefined) return;
    const name = `${this.node}.call.${++this.#names}`;
    round.names.push(name);
    ask.owner.coming(name, true);
  }

  flush(): void {
    const round = [...this.#round];
    this.#round.clear();
    for (const [ask, { class: name, count, names }] of round) {
      const calls = Math.max(1, Math.min(count, MOST_OPEN - (this.#open.get(ask) ?? 0)));
      for (let i = 0, left = count; i < calls; i++) {
        const share = Math.ceil(left / (calls - i));
        left -= share;
        void this.#send(ask, name, share, names.splice(0, share));
      }
    }
  }

  /** `names` stand for its leases until somebody has answered. */
  async #send(ask: Ask, name: string, count: number, names: readonly string[]): Promise<void> {
    this.#open.set(ask, (this.#open.get(ask) ?? 0) + 1);
    const answer = await this.#call(ask, name, count);
    const left = (this.#open.get(ask) ?? 1) - 1;
    if (left > 0) this.#open.set(ask, left);
    else this.#open.delete(ask);
    ask.offered -= count;
    const now = this.effects.now();
    const granted = answer === undefined || answer === "nobody" ? 0 : this.#book(ask, answer, { count, now });
    for (const standIn of names) ask.owner.coming?.(standIn, false);
    if (granted === 0) this.#missed(ask, answer, name, now);
    const { answer: outcome, ...of } = said(answer, count, name);
    ask.trail.add(now, "call", outcome, { class: name, ...of });
    this.onAnswer();
  }

  /** What it brings. */
  #book(ask: Ask, answer: CallAnswer, { count, now }: { count: number; now: number }): number {
    const { bid, passed, others, leases } = answer;
    this.view.observe(bid, now);
    for (const other of others ?? []) if (other.node !== this.node) this.view.observe(other, now);
    const here = Math.min(count, answer.granted);
    if (here > 0) ask.promised(bid.node, here, now, leases);
    if (here < count) ask.refused.set(bid.node, bid.sequence);
    const there = passed === undefined ? 0 : Math.min(count - here, passed.granted);
    if (passed !== undefined && there > 0) ask.promised(passed.node, there, now, passed.leases);
    // A node that died in the meantime keeps no promise.
    for (const node of [bid.node, passed?.node]) {
      if (node !== undefined && this.view.isGone(node)) ask.nodeGone(node);
    }
    return here + there;
  }

  #missed(ask: Ask, answer: CallAnswer | "nobody" | undefined, name: string, now: number): void {
    ask.callMisses++;
    ask.callReason = said(answer, 1, name).answer;
    if (answer !== "nobody" && ask.callMisses < MOST_MISSES) return;
    ask.callAfter =
      now + Math.min(this.limits.mostKnockMs, this.limits.knockMs * 2 ** Math.min(ask.knocks, 10));
    ask.knocks++;
  }

  /** Undefined when there was no answer. */
  #call(ask: Ask, name: string, count: number): Promise<CallAnswer | "nobody" | undefined> {
    const { effects, limits } = this;
    const submitter = ask.process;
    if (submitter === undefined || effects.call === undefined) return Promise.resolve(undefined);
    const demand = demandOf(ask, submitter, this.node);
    return new Promise((resolve) => {
      const cancel = effects.defer(limits.offerTimeoutMs, () => resolve(undefined));
      const settle = (answer: CallAnswer | "nobody" | undefined): void => {
        cancel();
        resolve(answer);
      };
      effects.call?.(name, demand, count).then(settle, () => settle(undefined));
    });
  }
}

const isSpread = (ask: Ask): boolean => ask.shape.scheduling?.kind === "spread";

function said(
  answer: CallAnswer | "nobody" | undefined,
  count: number,
  name: string,
): { node?: NodeId; answer: string } {
  if (answer === "nobody") return { answer: `no node has any ${name} free` };
  if (answer === undefined) return { answer: "no answer" };
  const { bid, passed } = answer;
  const through =
    passed !== undefined && passed.granted > 0 ? `; node ${passed.node} granted ${passed.granted}` : "";
  return { node: bid.node, answer: describeAnswer(answer, count) + through };
}
