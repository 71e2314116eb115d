/** Values that refer to others, and tasks and an actor that make, check and hold them. */
import { context, get, put, remote, type ObjectRef } from "stingray";
import { content, expectContent, type Piece } from "./content.js";

/** A value with contents of its own that refers to further ones. */
export interface Tree {
  readonly piece: Piece;
  readonly bytes: Uint8Array;
  readonly parts: readonly Part[];
}
/** A reference, and what must be found through it. */
export interface Part {
  readonly ref: ObjectRef<Tree>;
  readonly piece: Piece;
}

export const treeOf = (piece: Piece, parts: readonly Part[]): Tree => ({
  piece,
  bytes: content(piece),
  parts,
});

/** @throws Error that says what is wrong with it */
export function expectTree(tree: Tree, piece: Piece): void {
  const { seed, length } = tree.piece;
  if (seed !== piece.seed || length !== piece.length)
    throw new Error(`content ${seed} (${length} bytes) is there in place of ${piece.seed} (${piece.length})`);
  expectContent(tree.bytes, piece);
}

/** The same for everything that it refers to, so many levels down. */
export async function expectTrees(tree: Tree, piece: Piece, depth: number): Promise<number> {
  expectTree(tree, piece);
  if (depth === 0) return 1;
  let seen = 1;
  for (const part of tree.parts) seen += await expectTrees(await get(part.ref), part.piece, depth - 1);
  return seen;
}

export const growTree = remote((piece: Piece, parts: readonly Part[]): Tree => treeOf(piece, parts));
/** The value is the worker's own, and comes back by reference. */
export const plantTree = remote(async (piece: Piece, parts: readonly Part[]): Promise<Part> => ({
  ref: await put(treeOf(piece, parts)),
  piece,
}));
export const checkTree = remote((tree: Tree, piece: Piece, depth: number): Promise<number> =>
  expectTrees(tree, piece, depth),
);
export const checkPart = remote(async (part: Part, depth: number): Promise<string | undefined> => {
  await expectTrees(await get(part.ref), part.piece, depth);
  return context().nodeId;
});
/** Of several at once, in one task. */
export const checkTrees = remote(async (pieces: readonly Piece[], ...trees: Tree[]): Promise<number> => {
  for (const [i, tree] of trees.entries()) expectTree(tree, pieces[i] ?? { seed: -1, length: -1 });
  return trees.length;
});
export const handBack = remote((part: Part): Part => part);

class ForesterActor {
  private readonly kept: Part[] = [];

  keep(part: Part): number {
    return this.kept.push(part);
  }
  /** Checks the oldest, lets go of it, and hands it out for the last time. */
  async giveBack(): Promise<Part | undefined> {
    const part = this.kept.shift();
    if (part !== undefined) expectTree(await get(part.ref), part.piece);
    return part;
  }
  clear(): void {
    for (const part of this.kept.splice(0)) part.ref.release();
  }
}
export const Forester = remote({ cpus: 0 }, ForesterActor);
