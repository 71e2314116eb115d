/**
 * Leases that were given for a demand, here or by other nodes, and of which its submitter may not know yet. A level
 * that it says comes with the number of leases that have reached it, so what is on its way is never asked for twice,
 * and what has arrived never counted off twice.
 */
import type { NodeId } from "@stingray/protocol";

interface Gift {
  count: number;
  /** Milliseconds. */
  readonly at: number;
  readonly remote: boolean;
}

export class GivenLeases {
  /** The oldest first; those that have arrived are gone. */
  #gifts: Gift[] = [];
  #unseen = 0;
  /** Of these, what other nodes gave. */
  #remote = 0;
  /** Who gave since everything had arrived, and what it had announced. Leases come from several nodes in any order, so which ones came is not known. */
  readonly #givers = new Map<NodeId, string[]>();
  #seen: number;
  /** Leases that reached the submitter before we heard that they were given. */
  #ahead = 0;

  /** @param seen leases that have reached the submitter under this key so far; those before do not concern us */
  constructor(seen: number) {
    this.#seen = seen;
  }

  /** How many may still be on their way. */
  get unseen(): number {
    return this.#unseen;
  }

  /** Whether other nodes gave some that may be lost with them. */
  get isRemote(): boolean {
    return this.#remote > 0;
  }

  /** This node has given one. */
  here(now: number): void {
    this.#gifts.push({ count: 1, at: now, remote: false });
    this.#unseen++;
  }

  /** Another node has given so many. Returns how many of them the submitter's last level did not know of. */
  elsewhere(node: NodeId, count: number, now: number, leases: readonly string[]): number {
    const known = Math.min(count, this.#ahead);
    this.#ahead -= known;
    const news = count - known;
    if (news === 0) return 0;
    this.#gifts.push({ count: news, at: now, remote: true });
    this.#unseen += news;
    this.#remote += news;
    const giver = this.#givers.get(node);
    if (giver === undefined) this.#givers.set(node, [...leases]);
    else giver.push(...leases);
    return news;
  }

  /**
   * The submitter has had so many in all, those included that were withdrawn before they came, of which it is told by the
   * node that gave them; undefined where it does not count: then it knows of everything.
   * @param asking leases that other nodes are being asked for: only these can have come before their answers
   */
  seen(total: number | undefined, asking: number): void {
    // Whoever counts from the beginning again has had all that was given before.
    const knowsAll = total === undefined || total < this.#seen;
    const news = knowsAll ? this.#unseen : total - this.#seen;
    this.#seen = total ?? this.#seen;
    const left = this.#take(news);
    this.#ahead = Math.min(this.#ahead + left, asking);
  }

  /** The node is dead: how many may never arrive (too many do no harm), and what it had announced. */
  nodeGone(node: NodeId): { again: number; leases: readonly string[] } {
    const leases = this.#givers.get(node);
    if (leases === undefined) return { again: 0, leases: [] };
    const again = this.#unseen;
    this.#take(again);
    return { again, leases };
  }

  /** Forgets what was given so long ago that it must have arrived. True while something may be on its way from elsewhere. */
  prune(now: number, ms: number): boolean {
    let old = 0;
    for (const { at, count } of this.#gifts) {
      if (now - at < ms) break;
      old += count;
    }
    this.#take(old);
    return this.isRemote;
  }

  /** Takes the oldest ones off; returns how many there were not. */
  #take(count: number): number {
    let left = count;
    while (left > 0) {
      const first = this.#gifts[0];
      if (first === undefined) break;
      const taken = Math.min(left, first.count);
      first.count -= taken;
      left -= taken;
      this.#unseen -= taken;
      if (first.remote) this.#remote -= taken;
      if (first.count === 0) this.#gifts.shift();
    }
    if (this.#unseen === 0) this.#givers.clear();
    return left;
  }
}
