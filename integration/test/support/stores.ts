/** Clusters with small object stores, and what these stores say of themselves. */
import { lstatSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { Agent, type NodeId, type ProcessId, type StoreFigures, type StoreListing } from "@stingray/protocol";
import { processState } from "@stingray/task/internal";
import { get, nodes, type InitOptions, type NodeView, type ObjectRef } from "stingray";
import { collectGarbage, eventually, testCluster, type TestCluster } from "stingray/testing";
import { collect } from "../objects/programs/pieces.js";

export const KIB = 1024;
export const MIB = 1024 * KIB;

/** What may be asked of the stores of whichever cluster this process is in. */
export async function aliveNodes(): Promise<NodeView[]> {
  return (await nodes()).filter(({ state }) => state === "ALIVE");
}

/** What the agent of a node says of its store; largest objects first, at most `limit`. */
export async function listing(of: NodeView | string | undefined, limit = 1_000): Promise<StoreListing> {
  const node = typeof of === "object" ? of : (await nodes()).find(({ node }) => node === of);
  const { runtime } = processState;
  if (node === undefined || runtime === undefined) throw new Error("there is no such node to ask");
  const channel = runtime.channelTo(node.agent as ProcessId, node.node as NodeId);
  return channel.request(Agent.storeList, { limit }, { timeoutMs: 10_000 });
}

export async function figures(of: NodeView | string | undefined): Promise<StoreFigures> {
  return (await listing(of, 0)).figures;
}

/** Over all live nodes. */
export async function total(figure: keyof StoreFigures): Promise<number> {
  const all = await Promise.all((await aliveNodes()).map((node) => figures(node)));
  return all.reduce((sum, one) => sum + one[figure], 0);
}

export interface Freed {
  /** Calls that have actors collect garbage. @defaultValue none */
  collect?: (() => readonly ObjectRef[]) | undefined;
  /** Objects whose owner is dead stay for a while, for those that hold references. @defaultValue false: there are none */
  orphans?: boolean | undefined;
  timeoutMs?: number | undefined;
}

/** Waits until nothing of any object is left: no bytes in memory or on disk, no object in any process. */
export async function everythingIsFreed({
  collect,
  orphans = false,
  timeoutMs = 15_000,
}: Freed = {}): Promise<void> {
  await eventually(
    async () => {
      await collectEverywhere(collect?.() ?? []);
      const nodes = await aliveNodes();
      const all = await Promise.all(nodes.map((node) => listing(node)));
      const living = new Set(all.flatMap(({ processes }) => processes.map(({ process }) => process)));
      for (const [i, { node }] of nodes.entries())
        expectEmpty(node, orphans ? without(living, all[i] as StoreListing) : (all[i] as StoreListing));
      return true;
    },
    { message: "everything is freed", timeoutMs },
  );
}

/** Views and references that nobody has any more go with the garbage of their processes. */
export async function collectEverywhere(more: readonly ObjectRef[] = []): Promise<void> {
  const refs: ObjectRef[] = [...more];
  for (const { node, total } of await aliveNodes())
    for (let i = 0; i < 2 * (total["CPU"] ?? 1); i++)
      refs.push(collect.options({ scheduling: { node, soft: true } }).remote());
  try {
    await get(refs, { timeoutMs: 10_000 });
  } finally {
    for (const ref of refs) ref.release();
  }
  // What is on the stack now is not garbage yet.
  await new Promise(setImmediate);
  collectGarbage();
  await new Promise(setImmediate);
}

/** What a store would say without the objects whose owners are dead. */
function without(living: ReadonlySet<string>, listing: StoreListing): StoreListing {
  const figures = { ...listing.figures };
  const objects = listing.objects.filter(({ object, size, state }) => {
    if (living.has(object.split(".")[0] ?? "")) return true;
    figures.objects--;
    // Whole pages, with the object's header.
    figures[state === "memory" ? "used" : "onDisk"] -= Math.ceil((128 + size) / 4096) * 4096;
    return false;
  });
  return { ...listing, figures, objects };
}

function expectEmpty(node: string, { figures, objects, processes, silent }: StoreListing): void {
  const { used, leased, lingering, onDisk, waiting } = figures;
  const left = { used: used - leased, lingering, onDisk, objects: figures.objects, waiting };
  const details = JSON.stringify({ left, objects });
  expect(left, `the store of ${node}: ${details}`).to.deep.equal({
    used: 0,
    lingering: 0,
    onDisk: 0,
    objects: 0,
    waiting: 0,
  });
  expect(silent, "processes that do not answer").to.deep.equal([]);
  for (const { process, owned, borrowed, inlineBytes, slabBytes, objects } of processes) {
    const held = { owned, borrowed, inlineBytes, slabBytes };
    const details = JSON.stringify({ held, objects: objects.slice(0, 5) });
    expect(held, `process ${process}: ${details}`).to.deep.equal({
      owned: 0,
      borrowed: 0,
      inlineBytes: 0,
      slabBytes: 0,
    });
  }
}

/** Bytes of the files below a directory, as they are on disk. */
export function bytesBelow(directory: string): number {
  return filesBelow(directory).reduce((sum, path) => {
    const found = lstatSync(path, { throwIfNoEntry: false });
    return sum + (found === undefined ? 0 : found.blocks * 512);
  }, 0);
}

export function filesBelow(directory: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name));
}

/** A cluster inside the tests' process whose nodes spill into a directory of the test. */
export class StoreCluster {
  private constructor(
    private readonly test: TestCluster,
    /** What the nodes spill lies below it. */
    readonly spillDir: string,
    /** In the order of the options; the first is the driver's own. */
    readonly nodes: readonly NodeView[],
  ) {}

  static async start(options: InitOptions): Promise<StoreCluster> {
    const spillDir = mkdtempSync(join(tmpdir(), "st-spill-"));
    const test = await testCluster({ ...options, spillDir });
    const count = Array.isArray(options.nodes) ? options.nodes.length : (options.nodes ?? 1);
    const seen = await eventually(async () => {
      const alive = await aliveNodes();
      return alive.length === count && alive;
    }, `${count} nodes live`);
    const own = seen.filter(({ node }) => node === test.cluster.nodeId);
    const others = seen.filter(({ node }) => node !== test.cluster.nodeId);
    return new StoreCluster(test, spillDir, [...own, ...others]);
  }

  get cluster(): TestCluster["cluster"] {
    return this.test.cluster;
  }

  node(index: number): NodeView {
    const found = this.nodes[index];
    if (found === undefined) throw new Error(`the cluster has no node ${index}`);
    return found;
  }

  /** Options of a task or an actor for this node. */
  on(index: number): { scheduling: { node: string } } {
    return { scheduling: { node: this.node(index).node } };
  }

  /** Where the node keeps its objects in shared memory. */
  storeDir(index: number): string {
    return join(`/dev/shm/stingray-${process.getuid?.() ?? 0}`, this.node(index).node);
  }

  file(name: string): string {
    return this.test.file(name);
  }

  /** Ends it; nothing may remain, on disk neither. */
  async end(): Promise<void> {
    try {
      await this.test.end();
      expect(filesBelow(this.spillDir), "left in the spill directory").to.deep.equal([]);
    } finally {
      rmSync(this.spillDir, { recursive: true, force: true });
    }
  }
}
