/** One of several things that a program does with objects at the same time, step by step, as its seed says. */
import { get, put, type ObjectRef } from "stingray";
import { KIB, MIB } from "../support/stores.js";
import { randomFrom, type Piece } from "./programs/content.js";
import * as trees from "./programs/trees.js";
import type { Part, Tree } from "./programs/trees.js";

/** A single step that takes longer hangs. */
const STEP_MS = 30_000;
const MAX_VIEWS = 3;
const MAX_PARTS = 3;

type Step = () => Promise<unknown>;

export class Activity {
  private readonly random: () => number;
  private readonly known: Part[] = [];
  private readonly views: [Tree, Piece][] = [];
  private live = 0;
  private count = 0;
  /** Bytes of all objects that it made. */
  made = 0;
  /** What it does now, for the message of a failure. */
  doing = "";

  /**
   * @param placements options of tasks, one of which is taken for each
   * @param maxLive bytes that it refers to at most; beyond that it lets go
   */
  constructor(
    private readonly seed: number,
    private readonly placements: readonly { scheduling: { node: string } }[],
    private readonly forester: ReturnType<typeof trees.Forester.remote>,
    private readonly maxLive: number,
  ) {
    this.random = randomFrom(seed);
  }

  /** Until it has made so many bytes, all of which were right. */
  async run(bytes: number): Promise<void> {
    while (this.made < bytes) await this.step();
    while (this.known.length > 0) this.letGo();
    this.checkViews();
    this.views.length = 0;
  }

  private async step(): Promise<void> {
    const [name, step] = this.live > this.maxLive ? this.pickFrom(this.ends) : this.pickFrom(this.all);
    this.doing = `step ${++this.count} of seed ${this.seed}: ${name}`;
    await step();
  }

  /** Frequent ones stand several times. */
  private readonly makes: [string, Step][] = [
    ["put", () => this.put()],
    ["put", () => this.put()],
    ["task result", () => this.grow()],
    ["task result", () => this.grow()],
    ["reference of a task", () => this.plant()],
  ];
  private readonly uses: [string, Step][] = [
    ["get", () => this.read()],
    ["argument", () => this.checkInTask()],
    ["several arguments", () => this.checkMany()],
    ["nested argument", () => this.checkNested()],
    ["take out", () => this.takeOut()],
    ["pass through", () => this.passThrough()],
    ["actor keeps", () => this.keep()],
    ["look at views", () => Promise.resolve(this.checkViews())],
  ];
  private readonly ends: [string, Step][] = [
    ["release", () => Promise.resolve(this.letGo())],
    ["release", () => Promise.resolve(this.letGo())],
    ["release", () => Promise.resolve(this.letGo())],
    ["released in flight", () => this.letGoInFlight()],
    ["actor gives back", () => this.giveBack()],
  ];
  private readonly all = [...this.makes, ...this.makes, ...this.uses, ...this.ends];

  private put(): Promise<void> {
    const piece = this.piece();
    return this.within(put(trees.treeOf(piece, this.parts()))).then((ref) => this.know({ ref, piece }));
  }

  private grow(): Promise<void> {
    const piece = this.piece();
    this.know({ ref: trees.growTree.options(this.where()).remote(piece, this.parts()), piece });
    return Promise.resolve();
  }

  private async plant(): Promise<void> {
    const planted = trees.plantTree.options(this.where()).remote(this.piece(), this.parts());
    this.know(await this.get(planted));
    planted.release();
  }

  private async read(): Promise<void> {
    const part = this.any();
    if (part === undefined) return;
    const tree = await this.get(part.ref);
    trees.expectTree(tree, part.piece);
    this.views.push([tree, part.piece]);
    if (this.views.length > MAX_VIEWS) this.views.shift();
  }

  private async checkInTask(): Promise<void> {
    const part = this.any();
    if (part === undefined) return;
    using ref = trees.checkTree.options(this.where()).remote(part.ref, part.piece, 1);
    await this.get(ref);
  }

  private async checkMany(): Promise<void> {
    const parts = Array.from({ length: 3 }, () => this.any()).filter((part) => part !== undefined);
    const pieces = parts.map(({ piece }) => piece);
    using ref = trees.checkTrees.options(this.where()).remote(pieces, ...parts.map(({ ref }) => ref));
    await this.get(ref);
  }

  private async checkNested(): Promise<void> {
    const part = this.any();
    if (part === undefined) return;
    using ref = trees.checkPart.options(this.where()).remote(part, 2);
    await this.get(ref);
  }

  /** What a value refers to becomes known of its own. */
  private async takeOut(): Promise<void> {
    const part = this.any();
    if (part === undefined) return;
    const tree = await this.get(part.ref);
    const [first, ...others] = tree.parts;
    if (first !== undefined) this.know(first);
    // What was one part twice still is.
    for (const { ref } of others) if (ref !== first?.ref) ref.release();
  }

  private async passThrough(): Promise<void> {
    const part = this.take();
    if (part === undefined) return;
    const passed = trees.handBack.options(this.where()).remote(part);
    part.ref.release();
    this.know(await this.get(passed));
    passed.release();
  }

  private async keep(): Promise<void> {
    const part = this.any();
    if (part === undefined) return;
    using kept = this.forester.keep.remote(part);
    await this.get(kept);
  }

  private async giveBack(): Promise<void> {
    const given = this.forester.giveBack.remote();
    const part = await this.get(given);
    given.release();
    if (part !== undefined) this.know(part);
    this.letGo();
  }

  private async letGoInFlight(): Promise<void> {
    const part = this.take();
    if (part === undefined) return;
    using nested = trees.checkPart.options(this.where()).remote(part, 1);
    using direct = trees.checkTree.options(this.where()).remote(part.ref, part.piece, 0);
    part.ref.release();
    await this.get(nested);
    await this.get(direct);
  }

  private letGo(): void {
    this.take()?.ref.release();
  }

  /** What was read long ago is still as it was. */
  private checkViews(): void {
    for (const [tree, piece] of this.views) trees.expectTree(tree, piece);
  }

  /** Some small ones, many below a megabyte, as many of several. */
  private piece(): Piece {
    const kind = this.random();
    const [least, most] = kind < 0.2 ? [0, 64 * KIB] : kind < 0.6 ? [64 * KIB, MIB] : [MIB, 4 * MIB];
    const length = Math.floor(least + this.random() * (most - least));
    this.made += length;
    return { seed: Math.floor(this.random() * 1e6), length };
  }

  private parts(): Part[] {
    const count = Math.floor(this.random() * (MAX_PARTS + 1));
    return Array.from({ length: count }, () => this.any()).filter((part) => part !== undefined);
  }

  private know(part: Part): void {
    this.known.push(part);
    this.live += part.piece.length;
  }

  private any(): Part | undefined {
    return this.known[Math.floor(this.random() * this.known.length)];
  }

  private take(): Part | undefined {
    const [part] = this.known.splice(Math.floor(this.random() * this.known.length), 1);
    this.live -= part?.piece.length ?? 0;
    return part;
  }

  private where(): { scheduling: { node: string } } {
    return this.pickFrom(this.placements);
  }

  private pickFrom<T>(items: readonly T[]): T {
    const item = items[Math.floor(this.random() * items.length)];
    if (item === undefined) throw new Error("there is nothing to pick from");
    return item;
  }

  private get<T>(ref: ObjectRef<T>): Promise<T> {
    return get(ref, { timeoutMs: STEP_MS });
  }

  private async within<T>(promise: Promise<T>): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`not over after ${STEP_MS} ms`)), STEP_MS);
    });
    try {
      return await Promise.race([promise, late]);
    } finally {
      clearTimeout(timer);
    }
  }
}
