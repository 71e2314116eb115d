/** Who the nodes are, and what they own: what the table of nodes tells, whatever they have free. */
import type { NodeId, ProcessId } from "@stingray/protocol";
import { classesOf } from "./classes.js";

/** What does not change about a node: it exists, and owns this. */
export interface NodeFacts {
  readonly node: NodeId;
  readonly agent: ProcessId;
  readonly total: Record<string, number>;
  readonly labels: Record<string, string>;
  readonly draining: boolean;
}

/** The facts of all nodes, counted by resource class. */
export class FactBook {
  readonly #facts = new Map<NodeId, NodeFacts>();
  /** How many nodes own each resource class. */
  readonly #owners = new Map<string, number>();

  /** How many nodes are known to exist. */
  get size(): number {
    return this.#facts.size;
  }

  /** Takes in who a node is. False when it is the same again. */
  set(facts: NodeFacts): boolean {
    const known = this.#facts.get(facts.node);
    if (known === facts || (known !== undefined && JSON.stringify(known) === JSON.stringify(facts)))
      return false;
    this.delete(facts.node);
    for (const name of ownedClasses(facts)) this.#owners.set(name, this.owners(name) + 1);
    this.#facts.set(facts.node, facts);
    return true;
  }

  /** False when nothing was known of it. */
  delete(node: NodeId): boolean {
    const facts = this.#facts.get(node);
    if (facts === undefined) return false;
    for (const name of ownedClasses(facts)) {
      const left = this.owners(name) - 1;
      if (left > 0) this.#owners.set(name, left);
      else this.#owners.delete(name);
    }
    return this.#facts.delete(node);
  }

  get(node: NodeId): NodeFacts | undefined {
    return this.#facts.get(node);
  }

  has(node: NodeId): boolean {
    return this.#facts.has(node);
  }

  all(): NodeFacts[] {
    return [...this.#facts.values()];
  }

  nodes(): IterableIterator<NodeId> {
    return this.#facts.keys();
  }

  /** How many nodes own some of a resource class and take work. */
  owners(resourceClass: string): number {
    return this.#owners.get(resourceClass) ?? 0;
  }

  /** Whether the node owns some of a resource class and takes work. */
  owns(node: NodeId, resourceClass: string): boolean {
    const facts = this.#facts.get(node);
    return facts !== undefined && ownedClasses(facts).includes(resourceClass);
  }
}

/** Several books may be told the same facts. */
const classesOfFacts = new WeakMap<NodeFacts, readonly string[]>();

function ownedClasses(facts: NodeFacts): readonly string[] {
  let classes = classesOfFacts.get(facts);
  if (classes === undefined) {
    classes = facts.draining ? [] : [...classesOf(facts.total, facts.labels).keys()];
    classesOfFacts.set(facts, classes);
  }
  return classes;
}
