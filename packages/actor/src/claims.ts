/**
 * Claims of named actors by this process that are not answered yet, so that whoever asks for a name right after
 * `.remote()` finds it.
 */
interface Claim {
  readonly settled: Promise<unknown>;
  /** The agent was asked; before that the arguments of the constructor are waited for, which may take long. */
  sent: boolean;
}

export class Claims {
  private readonly pending = new Map<string, Set<Claim>>();

  /** @returns to be called when the agent is asked */
  add(namespace: string, name: string, settled: Promise<unknown>): () => void {
    const key = keyOf(namespace, name);
    const claim: Claim = { settled, sent: false };
    const same = this.pending.get(key) ?? new Set();
    this.pending.set(key, same.add(claim));
    const done = (): void => {
      same.delete(claim);
      if (same.size === 0 && this.pending.get(key) === same) this.pending.delete(key);
    };
    settled.then(done, done);
    return () => (claim.sent = true);
  }

  /** Resolves when the claims of this name that are under way are answered, one way or the other. */
  async of(namespace: string, name: string): Promise<void> {
    await settle(this.pending.get(keyOf(namespace, name)) ?? []);
  }

  /** Resolves when all claims that were sent are answered. */
  async sent(): Promise<void> {
    // Those with nothing to wait for ask in this very turn.
    await new Promise((turn) => setImmediate(turn));
    await settle([...this.pending.values()].flatMap((claims) => [...claims].filter((claim) => claim.sent)));
  }
}

const keyOf = (namespace: string, name: string): string => JSON.stringify([namespace, name]);

async function settle(claims: Iterable<Claim>): Promise<void> {
  await Promise.allSettled([...claims].map((claim) => claim.settled));
}
