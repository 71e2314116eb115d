/** Nodes that are known to exist, and what they own, but not what they have free. */
import type { NodeId } from "@stingray/protocol";
import type { Ask } from "./ask.js";
import { Resources } from "./amounts.js";
import type { LeaseEffects } from "./types.js";
import { GpuPool } from "./gpus.js";
import type { NodeFacts } from "./facts.js";
import type { Bid, ClusterView } from "./view.js";

/** Which nodes could ever run an ask; found again when the facts have changed. */
interface Able {
  readonly version: number;
  readonly nodes: readonly NodeFacts[];
}

export class Strangers {
  readonly #able = new WeakMap<Ask, Able>();

  constructor(
    private readonly own: NodeId,
    private readonly view: ClusterView,
    private readonly effects: Pick<LeaseEffects, "random">,
  ) {}

  /** Is there any? Cheap: where all are heard, there is none. */
  some(): boolean {
    return this.view.unheard(this.own) > 0;
  }

  /** Whether a node other than this one owns some of the class. */
  mayOwn(resourceClass: string): boolean {
    return this.view.owners(resourceClass) > (this.view.owns(this.own, resourceClass) ? 1 : 0);
  }

  /** How many could ever run it. */
  able(ask: Ask): number {
    let count = 0;
    if (this.some()) for (const { node } of this.#ableNodes(ask)) if (!this.view.has(node)) count++;
    return count;
  }

  /** One of them, at random; `again`: also one that refused, or did not answer. */
  pick(ask: Ask, again = false): NodeFacts | undefined {
    if (!this.some()) return undefined;
    const refused = (node: NodeId): boolean =>
      ask.refused.has(node) && ask.isRefusedBy(node, this.view.guess(node)?.sequence ?? 0);
    const nodes = this.#ableNodes(ask).filter(
      ({ node }) => !this.view.has(node) && !ask.asking.has(node) && (again || !refused(node)),
    );
    return nodes[Math.floor(this.effects.random() * nodes.length)];
  }

  /** As if all of it were free. */
  get(node: NodeId): Bid | undefined {
    return node === this.own ? undefined : this.view.guess(node);
  }

  #ableNodes(ask: Ask): readonly NodeFacts[] {
    const known = this.#able.get(ask);
    if (known !== undefined && known.version === this.view.factsVersion) return known.nodes;
    const gpus = GpuPool.isPossible(ask.need.units("GPU"));
    const nodes = this.view
      .facts()
      .filter(
        ({ node, total, labels, draining }) =>
          node !== this.own &&
          !draining &&
          gpus &&
          ask.selector.mismatch(labels) === undefined &&
          Resources.from(total).fits(ask.need),
      );
    this.#able.set(ask, { version: this.view.factsVersion, nodes });
    return nodes;
  }
}
