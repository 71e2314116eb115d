/** Tasks and an actor that make, check, hold and hand on objects of known contents. */
import { context, get, put, remote, type ObjectRef } from "stingray";
import { countObjects, type Counts } from "../../fixtures/objects.js";
import { content, expectContent, type Piece } from "./content.js";

export type Bytes = Uint8Array;
export interface Held {
  readonly ref: ObjectRef<Bytes>;
}
const later = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

export const make = remote((piece: Piece): Bytes => content(piece));
export const makeLater = remote(async (piece: Piece, ms: number): Promise<Bytes> => {
  await later(ms);
  return content(piece);
});
/** The process of the task owns what is inside. */
export const makeHeld = remote(async (piece: Piece): Promise<Held> => ({ ref: await put(content(piece)) }));
export const copy = remote((bytes: Bytes): Bytes => bytes.slice());
/** Returns where it ran. */
export const check = remote((bytes: Bytes, piece: Piece): string | undefined => {
  expectContent(bytes, piece);
  return context().nodeId;
});
export const checkAll = remote((pieces: Piece[], ...all: Bytes[]): number => {
  if (all.length !== pieces.length) throw new Error(`${all.length} instead of ${pieces.length}`);
  for (const [i, bytes] of all.entries()) expectContent(bytes, pieces[i] ?? { seed: -1, length: -1 });
  return all.reduce((sum, bytes) => sum + bytes.length, 0);
});
export const checkHeld = remote(async (held: Held, piece: Piece, ms = 0): Promise<string | undefined> => {
  if (ms > 0) await later(ms);
  expectContent(await get(held.ref), piece);
  return context().nodeId;
});
export const passOn = remote((held: Held): Held => held);
/** Takes long enough for several at once to go to several workers. */
export const collect = remote(async (): Promise<Counts> => {
  await later(30);
  return countObjects();
});
export const pid = remote((): number => process.pid);

/** Each item refers to an object of the generator's process. */
export const heldOnes = remote(async function* heldOnes(pieces: Piece[]): AsyncGenerator<Held> {
  for (const piece of pieces) yield { ref: await put(content(piece)) };
});

class KeeperActor {
  private readonly kept = new Map<string, Held>();
  private readonly views: Bytes[] = [];

  keep(name: string, held: Held): void {
    this.kept.set(name, held);
  }
  async make(name: string, piece: Piece): Promise<Held> {
    const held = { ref: await put(content(piece)) };
    this.kept.set(name, held);
    return held;
  }
  async check(name: string, piece: Piece): Promise<string | undefined> {
    const held = this.kept.get(name);
    if (held === undefined) throw new Error(`${name} is not kept`);
    expectContent(await get(held.ref), piece);
    return context().nodeId;
  }
  /** Keeps what it read: its memory stays in use. */
  async look(name: string): Promise<number> {
    const held = this.kept.get(name);
    if (held === undefined) throw new Error(`${name} is not kept`);
    return this.views.push(await get(held.ref));
  }
  lookAt(bytes: Bytes): number {
    return this.views.push(bytes);
  }
  checkView(index: number, piece: Piece): void {
    expectContent(this.views[index] ?? new Uint8Array(), piece);
  }
  lookAway(): void {
    this.views.length = 0;
  }
  handOut(name: string): Held | undefined {
    return this.kept.get(name);
  }
  drop(name: string, how: "release" | "forget" = "release"): boolean {
    if (how === "release") this.kept.get(name)?.ref.release();
    return this.kept.delete(name);
  }
  collect(): Promise<Counts> {
    return countObjects();
  }
  pid(): number {
    return process.pid;
  }
  /** Ends its own process without a word, so many milliseconds after it has begun to put this. */
  dieInPut(piece: Piece, afterMs: number): Promise<ObjectRef<Bytes>> {
    const bytes = content(piece);
    const putting = put(bytes);
    if (afterMs === 0) setImmediate(() => process.kill(process.pid, "SIGKILL"));
    else setTimeout(() => process.kill(process.pid, "SIGKILL"), afterMs);
    return putting.then(() => new Promise<never>(() => {}));
  }
}
export const Keeper = remote({ cpus: 0 }, KeeperActor);
