/** A node's store with a disk, a client that writes to it, and another process beside it. */
import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { closeSync, existsSync, openSync, readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { ObjectStoreFullError, type StoreSpan } from "@stingray/protocol";
import { eventually } from "@stingray/protocol/testing";
import { StoreClient, encode } from "../../src/mod.js";
import { NodeStore } from "../../src/node/node-store.js";
import type { NodeStoreOptions } from "../../src/node/options.js";
import { fileLength } from "../../src/node/segment.js";
import { readAt } from "../../src/shm/files.js";
import { HEADER_BYTES, readHeader } from "../../src/shm/header.js";
import { hostLabel } from "../../src/shm/owner.js";
import { place, type Place } from "./place.js";
import type { StoreOrder } from "./store-child.js";

export const KiB = 1024;
export const MiB = 1024 * KiB;

/** What the directory is called in which the spill directories of this user and machine lie. */
export const SPILL_NAME = `stingray-spill-${process.getuid?.() ?? 0}-${await hostLabel()}`;

const CHILD = fileURLToPath(new URL("store-child.js", import.meta.url));

/** Bytes of a file for a value of so many bytes as `put` writes it. */
export const taken = (bytes: number): number => fileLength(encode(new Uint8Array(bytes)).size);

export class Node {
  readonly log: string[] = [];
  readonly dropped: [string, string][] = [];
  private readonly others: Beside[] = [];

  private constructor(
    readonly at: Place,
    readonly store: NodeStore,
    readonly client: StoreClient,
  ) {}

  static async open(options: Partial<NodeStoreOptions> = {}, disk = true): Promise<Node> {
    const at = place();
    const hooks: { node?: Node } = {};
    const store = await NodeStore.open({
      dir: join(at.path, "shm", "node"),
      capacity: 20 * MiB,
      waitMs: 100,
      deadlineMs: 3000,
      ...(disk ? { spill: { dir: join(at.path, "disk") } } : {}),
      log: (line) => hooks.node?.log.push(line),
      dropped: (object, why) => hooks.node?.dropped.push([object, why]),
      ...options,
    });
    hooks.node = new Node(at, store, await StoreClient.open({ dir: store.dir }));
    return hooks.node;
  }

  get spillDir(): string {
    return join(this.at.path, "disk", SPILL_NAME, "node");
  }

  async put(
    object: string,
    bytes: number,
    options: { by?: string; fill?: number; copy?: boolean } = {},
  ): Promise<number> {
    const { by = "w1", fill = 1, copy = false } = options;
    const encoded = encode(new Uint8Array(bytes).fill(fill));
    const { size } = encoded;
    const role = copy ? "copy" : "primary";
    const room = await this.store.create({ object, size, client: by, role });
    this.client.write(room, object, encoded);
    expect(this.store.seal(object, size), `seal of ${object}`).to.equal(true);
    return room.file;
  }

  /** The byte that it was filled with, from where the store says that it is; undefined: it is not here. */
  async get(object: string): Promise<number | undefined> {
    const size = this.store.stat(object)?.size ?? 0;
    this.store.hold(object, "reader");
    try {
      const span = await this.store.open(object);
      return span && byteOf(span, object, size);
    } finally {
      this.store.unhold(object, "reader");
    }
  }

  /** Bytes of the files in memory. */
  get inMemory(): number {
    const names = readdirSync(this.store.dir).filter((name) => name !== ".owner");
    const sizes = new Map(
      names.flatMap((name) => {
        const found = statSync(join(this.store.dir, name), { throwIfNoEntry: false }); // may be going right now
        return found === undefined ? [] : [[found.ino, found.size] as const];
      }),
    );
    return [...sizes.values()].reduce((sum, size) => sum + size, 0);
  }

  /** The figures say what is there. Large files are removed in the background. */
  async agrees(): Promise<void> {
    const { store } = this;
    await eventually(
      () => this.inMemory === store.used + store.figures().warm,
      "the files are those of the figures",
    );
  }

  /** Names of the files on disk. */
  get onDisk(): string[] {
    try {
      return readdirSync(this.spillDir).filter((name) => name !== ".owner");
    } catch {
      return [];
    }
  }

  /** Another process; it ends with the test. */
  beside(): Beside {
    const other = Beside.fork();
    this.others.push(other);
    return other;
  }

  async close(): Promise<void> {
    for (const other of this.others) await other.kill();
    this.client.close();
    await this.store.close();
    for (const parent of ["shm", "disk"].filter((name) => existsSync(join(this.at.path, name)))) {
      const left = readdirSync(join(this.at.path, parent), { recursive: true, withFileTypes: true });
      expect(
        left.filter((entry) => entry.name !== SPILL_NAME),
        parent,
      ).to.deep.equal([]);
    }
    this.removeParents();
    this.at.leave();
  }

  private removeParents(): void {
    rmSync(join(this.at.path, "shm"), { recursive: true, force: true });
    rmSync(join(this.at.path, "disk"), { recursive: true, force: true });
  }
}

function byteOf([path, offset, length]: StoreSpan, object: string, size: number): number | undefined {
  const fd = openSync(path, "r");
  try {
    const bytes = readAt(fd, offset, length);
    const header = readHeader(bytes, path);
    expect([header.object, header.size, header.complete, bytes.length]).to.deep.equal([
      object,
      size,
      true,
      HEADER_BYTES + size,
    ]);
    // The value of `put` is one region at the end.
    const last = bytes.at(-1);
    expect(bytes.at(-Math.floor(size / 2)), `the middle of ${object}`).to.equal(last);
    return last;
  } finally {
    closeSync(fd);
  }
}

export class Beside {
  private constructor(private readonly child: ChildProcess) {}

  /** The caller has to kill it. */
  static fork(): Beside {
    return new Beside(fork(CHILD, { stdio: "inherit" }));
  }

  async tell(order: StoreOrder): Promise<unknown> {
    this.child.send(order);
    const [answer] = (await once(this.child, "message", { signal: AbortSignal.timeout(10_000) })) as [
      unknown,
    ];
    if (typeof answer === "object" && answer !== null && "answer" in answer) return answer.answer;
    return answer;
  }

  async kill(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const exit = once(this.child, "exit");
    this.child.kill("SIGKILL");
    await exit;
  }
}

export async function refused(promise: Promise<unknown>): Promise<ObjectStoreFullError> {
  const thrown: unknown = await promise.then(
    () => expect.fail("it succeeded"),
    (thrown: unknown) => thrown,
  );
  expect(thrown).to.be.instanceOf(ObjectStoreFullError);
  return thrown as ObjectStoreFullError;
}
