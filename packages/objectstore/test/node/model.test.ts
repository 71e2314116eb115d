/** Random orders of everything that can happen: figures, files and what can be read agree at each step. */
import { expect } from "chai";
import { ObjectStoreFullError, type StoreRoom } from "@stingray/protocol";
import { eventually } from "@stingray/protocol/testing";
import { encode } from "../../src/mod.js";
import { KiB, MiB, Node } from "../helpers/node.js";

const CLIENTS = 3;

function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

class Model {
  private readonly fills = new Map<string, number>();
  private readonly leases: { client: string; file: number }[] = [];
  private readonly views: { stored: { release(): void; bytes: Uint8Array }; fill: number }[] = [];
  private readonly pending = new Set<Promise<unknown>>();
  private made = 0;
  /** One that has ended is followed by another. */
  private started = CLIENTS;
  private readonly clients = Array.from({ length: CLIENTS }, (_, i) => `w${i}`);

  constructor(
    private readonly node: Node,
    private readonly pick: (below: number) => number,
  ) {}

  async step(): Promise<void> {
    const { node, pick } = this;
    const { store } = node;
    const client = this.clients[pick(CLIENTS)] as string;
    const known = [...this.fills.keys()];
    const object = known[pick(known.length)];
    switch (pick(12)) {
      case 0:
      case 1:
      case 2:
      case 3:
        return this.put(client);
      case 4:
        return void (object !== undefined && (store.free([object]), this.fills.delete(object)));
      case 5:
      case 6:
        if (object !== undefined) await this.read(object);
        return;
      case 7:
        return void (object !== undefined && store.hold(object, client));
      case 8:
        if (pick(4) === 0) this.died(client);
        return void (object !== undefined && store.unhold(object, client));
      case 9: {
        const room = await store.lease(client, 64 * KiB).catch(fullOnly);
        return void (room !== undefined && this.leases.push({ client, file: room.file }));
      }
      case 10: {
        const [lease] = this.leases.splice(pick(this.leases.length), 1);
        return void (lease !== undefined && store.giveBack(lease.client, [lease.file]));
      }
      default:
        this.views.splice(pick(this.views.length), 1)[0]?.stored.release();
        return;
    }
  }

  /** Not waited for: several are under way at a time. */
  private put(client: string): void {
    const object = `obj.${++this.made}.0`;
    const fill = this.made % 251;
    const encoded = encode(new Uint8Array(64 * KiB + this.pick(500 * KiB)).fill(fill));
    const { size } = encoded;
    const what = this.pick(8);
    const role = what === 0 ? "copy" : "primary";
    const work = this.node.store.create({ object, size, client, role }).then((room: StoreRoom) => {
      const { store } = this.node;
      if (what === 1) return store.abandon(object, client);
      if (what === 2) return undefined; // it goes with its client
      if (what === 3) {
        const arrival = store.arrival(object, client);
        arrival?.write(0, encoded.bytes());
        if (arrival?.finish() === true) this.fills.set(object, fill);
        return undefined;
      }
      if (store.stat(object) === undefined) return undefined; // the client ended meanwhile
      this.node.client.write(room, object, encoded);
      if (store.seal(object, size)) this.fills.set(object, fill);
      return undefined;
    });
    const quiet = work.catch((thrown: unknown) => {
      if (thrown instanceof ObjectStoreFullError || (thrown as Error).name === "ConnectionError") return;
      throw thrown;
    });
    this.pending.add(quiet);
    void quiet.finally(() => this.pending.delete(quiet));
  }

  private died(client: string): void {
    this.node.store.clientDied(client);
    this.clients[this.clients.indexOf(client)] = `w${this.started++}`;
    for (let i = this.leases.length; i-- > 0;)
      if (this.leases[i]?.client === client) this.leases.splice(i, 1);
  }

  private async read(object: string): Promise<void> {
    const fill = this.fills.get(object) as number;
    const stored = await this.node.store.bytes(object);
    if (stored === undefined) {
      const evicted = this.node.dropped.some(([name, why]) => name === object && why === "evicted");
      expect(evicted || !this.fills.has(object), `${object} is not there`).to.equal(true);
      this.fills.delete(object);
      return;
    }
    expect([stored.bytes.at(-1), stored.bytes.at(-60_000)]).to.deep.equal([fill, fill]);
    this.views.push({ stored, fill });
  }

  check(): void {
    const { store } = this.node;
    const { used, warm, capacity, leased, lingering } = store.figures();
    expect(used + warm, "used and warm").to.be.at.most(capacity);
    expect(this.node.inMemory, "files in memory").to.equal(used + warm);
    expect(leased + lingering).to.be.at.most(used);
    for (const { stored, fill } of this.views) expect(stored.bytes.at(-1), "a view").to.equal(fill);
  }

  async end(): Promise<void> {
    const { store } = this.node;
    for (const { stored } of this.views) stored.release();
    for (const client of [...this.clients]) this.died(client);
    await Promise.all(this.pending);
    for (const client of [...this.clients]) this.died(client);
    store.free(store.list(10_000).objects.map(({ object }) => object));
    await eventually(() => store.used === 0 && this.node.onDisk.length === 0, "all is given back");
    const { onDisk, objects, leased, lingering, waiting } = store.figures();
    expect([onDisk, objects, leased, lingering, waiting]).to.deep.equal([0, 0, 0, 0, 0]);
    await this.node.agrees();
  }
}

function fullOnly(thrown: unknown): undefined {
  expect(thrown).to.be.instanceOf(ObjectStoreFullError);
}

describe("a node's store: anything in any order", function () {
  this.timeout(20_000);

  for (const seed of [1, 2, 3, Date.now() % 100_000]) {
    it(`figures, files and values agree (seed ${seed})`, async () => {
      const node = await Node.open({ capacity: 3 * MiB, waitMs: 30, deadlineMs: 2000 });
      const model = new Model(node, random(seed));
      for (let i = 0; i < 300; i++) {
        await model.step();
        model.check();
        if (i % 10 === 0) await new Promise((resolve) => setImmediate(resolve));
      }
      await model.end();
      await node.close();
    });
  }
});
