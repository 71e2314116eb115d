/** A program at one of the nodes: asks for leases as submitters do, holds each for its time, and gives it back. */
import { KINDS } from "./plan.js";
import type { Arrival } from "./plan.js";

export interface RequesterHost {
  /** The level of the demand for a kind: so many more leases could be used than the `got` that have come so far. */
  demand(kind: number, want: number, got: number): void;
  giveBack(lease: string, node: string): void;
  /** A lease for a request arrived, so many milliseconds after the time at which that was to be made. */
  placed(kind: number, ms: number, remote: boolean): void;
}

interface Wanted {
  readonly due: number;
  readonly holdMs: number;
}

/** Most leases asked for at a time, as a submitter does. */
const MAX_WANT = 256;

export class Requester {
  /** Leases that came when nobody waited for one any more; given back at once. */
  surplus = 0;
  /** Times that an agent said that a kind can't be had. */
  failed = 0;
  private readonly queues = KINDS.map((): Wanted[] => []);
  private readonly wanted = KINDS.map(() => 0);
  private readonly got = KINDS.map(() => 0);
  private readonly held = new Map<string, { node: string; timer: NodeJS.Timeout }>();
  private readonly reasons = KINDS.map(() => "");

  constructor(
    private readonly node: string,
    private readonly host: RequesterHost,
  ) {}

  /** A request whose time has come. `due` on the clock of `performance.now()`. */
  request({ kind, holdMs }: Arrival, due: number): void {
    this.queues[kind]?.push({ due, holdMs });
    this.tell(kind);
  }

  granted(kind: number, lease: string, node: string): void {
    if (this.held.has(lease)) return;
    this.got[kind] = (this.got[kind] ?? 0) + 1;
    if ((this.wanted[kind] ?? 0) > 0) this.wanted[kind] = (this.wanted[kind] ?? 0) - 1; // the agent counts it off, too
    const first = this.queues[kind]?.shift();
    if (first === undefined) {
      this.surplus++;
      this.host.giveBack(lease, node);
    } else {
      this.host.placed(kind, performance.now() - first.due, node !== this.node);
      const timer = setTimeout(() => this.giveBack(lease), first.holdMs);
      this.held.set(lease, { node, timer });
    }
    this.tell(kind);
  }

  refused(kind: number, reason: string): void {
    this.failed++;
    this.reasons[kind] = reason;
    this.wanted[kind] = 0;
  }

  waits(kind: number, reason: string): void {
    this.reasons[kind] = reason;
  }

  /** Requests that have no lease yet. */
  get open(): number {
    return this.queues.reduce((sum, queue) => sum + queue.length, 0);
  }

  /** What agents said last about the kinds that are open. */
  openReasons(): string[] {
    return this.queues.flatMap((queue, kind) =>
      queue.length === 0
        ? []
        : [`${queue.length} of ${KINDS[kind]?.name}: ${this.reasons[kind] || "no reason was given"}`],
    );
  }

  /** Withdraws what is open and gives all leases back, held long enough or not. */
  end(): void {
    this.queues.forEach((queue, kind) => {
      queue.length = 0;
      this.tell(kind);
    });
    for (const lease of this.held.keys()) this.giveBack(lease);
  }

  private giveBack(lease: string): void {
    const held = this.held.get(lease);
    if (held === undefined) return;
    this.held.delete(lease);
    clearTimeout(held.timer);
    this.host.giveBack(lease, held.node);
  }

  /** Says the level where it changed. */
  private tell(kind: number): void {
    const want = Math.min(this.queues[kind]?.length ?? 0, MAX_WANT);
    if (want === this.wanted[kind]) return;
    this.wanted[kind] = want;
    this.host.demand(kind, want, this.got[kind] ?? 0);
  }
}
