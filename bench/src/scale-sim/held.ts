/** An account of what a node has lent, kept apart from the scheduler's own: what it can't have granted shows here. */
export class HeldBook {
  private readonly leases = new Map<
    string,
    { amounts: Readonly<Record<string, number>>; gpus: readonly number[] }
  >();
  private readonly used: Record<string, number> = {};
  private readonly gpus = new Set<number>();
  /** Grants by which more was lent than there is, a GPU twice, or something the node does not have. */
  overcommits = 0;
  /** Grants of resources or labels that the node does not have at all. */
  misplaced = 0;

  constructor(
    private readonly total: Readonly<Record<string, number>>,
    private readonly labels: Readonly<Record<string, string>>,
  ) {}

  /** The scheduler has granted a lease for this. Amounts in the user's units. */
  granted(
    lease: string,
    amounts: Readonly<Record<string, number>>,
    labels: Readonly<Record<string, string>>,
    gpus: readonly number[],
  ): void {
    let over = this.leases.has(lease);
    for (const [name, amount] of Object.entries(amounts)) {
      this.used[name] = (this.used[name] ?? 0) + amount;
      if ((this.used[name] ?? 0) > (this.total[name] ?? 0)) over = true;
      if (this.total[name] === undefined) this.misplaced++;
    }
    for (const [name, value] of Object.entries(labels)) if (this.labels[name] !== value) this.misplaced++;
    for (const gpu of gpus) {
      if (this.gpus.has(gpu)) over = true;
      this.gpus.add(gpu);
    }
    if (gpus.length !== (amounts["GPU"] ?? 0)) over = true;
    if (over) this.overcommits++;
    this.leases.set(lease, { amounts, gpus });
  }

  /** The lease is about to be given back. Unknown ones are ignored. */
  returned(lease: string): void {
    const held = this.leases.get(lease);
    if (held === undefined) return;
    this.leases.delete(lease);
    for (const [name, amount] of Object.entries(held.amounts))
      this.used[name] = (this.used[name] ?? 0) - amount;
    for (const gpu of held.gpus) this.gpus.delete(gpu);
  }

  /** Leases that are out. */
  get size(): number {
    return this.leases.size;
  }

  /** From 0 to 1. */
  share(name: string): number {
    return (this.used[name] ?? 0) / (this.total[name] ?? 1);
  }
}
