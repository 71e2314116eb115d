/** Why an actor has no place yet, and when its watchers are told. */
import type { Ranked } from "@stingray/scheduler";
import { describeShape, type ActorSpec } from "@stingray/protocol";
import { describe } from "./actor-directory.js";

/** A wait shorter than this is not worth a word, in milliseconds. */
const QUIET_MS = 1_000;
/** While nothing changes but amounts, watchers hear of it so often, in milliseconds. */
const AGAIN_MS = 10_000;
const MOST_NODES = 5;

export interface ReasonToWait {
  /** Who waits for what, and why. */
  readonly reason: string;
  /** No node that is known could ever host it. */
  readonly infeasible: boolean;
}

/** The wait of one claim, from its creation to `end`. */
export class PlacementWait implements ReasonToWait {
  reason = "it waits for a node";
  /** Why alone: what each node has to say to it. */
  why = "nothing was heard of any node yet";
  infeasible = false;
  private readonly since = performance.now();
  private readonly first: NodeJS.Timeout;
  private told: (ReasonToWait & { at: number }) | undefined;

  constructor(
    private readonly spec: ActorSpec,
    private readonly tell: (why: ReasonToWait) => void,
  ) {
    this.reason = `${describe(spec)} waits for a node`;
    this.first = setTimeout(() => this.say(), QUIET_MS);
    this.first.unref();
  }

  /** Milliseconds so far. */
  get ms(): number {
    return performance.now() - this.since;
  }

  /** No node takes it now: this is what they look like. */
  update(ranked: readonly Ranked[]): void {
    const nodes = ranked.slice(0, MOST_NODES).map((r) => `node ${r.node} ${r.reason}`);
    const more = ranked.length > MOST_NODES ? `; and ${ranked.length - MOST_NODES} more` : "";
    this.because(
      `${nodes.join("; ")}${more}`,
      ranked.every((r) => r.fit === "never"),
    );
  }

  /** It waits for this. */
  because(why: string, infeasible = false): void {
    this.why = why;
    this.reason = `${describe(this.spec)} waits for ${describeShape(this.spec.placement)}: ${why}`;
    this.infeasible = infeasible;
    const { told } = this;
    if (told === undefined) return;
    const other = told.infeasible !== this.infeasible;
    if (other || (told.reason !== this.reason && performance.now() - told.at >= AGAIN_MS)) this.say();
  }

  end(): void {
    clearTimeout(this.first);
  }

  private say(): void {
    const { reason, infeasible } = this;
    this.told = { reason, infeasible, at: performance.now() };
    this.tell({ reason, infeasible });
  }
}
