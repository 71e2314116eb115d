/** What other nodes have said of their large objects. Bounded: it is a help, and who needs more asks the owner. */
import type { ObjectNews } from "../../feed/mod.js";

/** The nodes that have an object, with their agents. */
export interface KnownCopies {
  /** Bytes. */
  size: number;
  copies: [node: string, agent: string][];
}

interface Known {
  size: number;
  nodes: Set<string>;
}
interface Node {
  agent: string;
  objects: Set<string>;
}

export class LocationCache {
  /** The object that was spoken of longest ago comes first. */
  private readonly objects = new Map<string, Known>();
  private readonly nodes = new Map<string, Node>();
  private copies = 0;
  private lost = 0;

  /** @param limit most copies that are remembered, over all objects */
  constructor(private readonly limit: number) {}

  /** Copies that are remembered. */
  get size(): number {
    return this.copies;
  }
  /** Copies that were forgotten for want of room. */
  get dropped(): number {
    return this.lost;
  }

  apply(news: ObjectNews): void {
    if (news.complete) this.forgetNode(news.node);
    for (const object of news.removed) this.forget(object, news.node);
    for (const [object, size] of news.added) this.note(object, size, news.node, news.agent);
    for (const object of this.objects.keys()) {
      if (this.copies <= this.limit) break;
      this.lost += this.forgetObject(object);
    }
  }

  find(object: string): KnownCopies | undefined {
    const known = this.objects.get(object);
    if (known === undefined) return undefined;
    const copies = [...known.nodes].map((node): [string, string] => [
      node,
      this.nodes.get(node)?.agent ?? "",
    ]);
    return { size: known.size, copies };
  }

  forgetNode(node: string): void {
    for (const object of this.nodes.get(node)?.objects ?? []) this.forget(object, node);
  }

  forget(object: string, node: string): void {
    const known = this.objects.get(object);
    if (known === undefined || !known.nodes.delete(node)) return;
    if (known.nodes.size === 0) this.objects.delete(object);
    this.copies--;
    const there = this.nodes.get(node);
    there?.objects.delete(object);
    if (there?.objects.size === 0) this.nodes.delete(node);
  }

  private note(object: string, size: number, node: string, agent: string): void {
    let known = this.objects.get(object);
    // Made again with another size: the copies that were known are of the lost one.
    if (known !== undefined && known.size !== size) {
      this.forgetObject(object);
      known = undefined;
    }
    known ??= { size, nodes: new Set() };
    this.objects.delete(object);
    this.objects.set(object, known);
    if (!known.nodes.has(node)) this.copies++;
    known.nodes.add(node);
    let there = this.nodes.get(node);
    if (there === undefined) this.nodes.set(node, (there = { agent, objects: new Set() }));
    there.objects.add(object);
  }

  private forgetObject(object: string): number {
    const nodes = this.objects.get(object)?.nodes ?? new Set();
    const count = nodes.size;
    for (const node of nodes) this.forget(object, node);
    return count;
  }
}
