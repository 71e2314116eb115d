/** What a node is asked for, seen on its connection: never something that it does not have. */
import { EmbeddedBroker } from "@stingray/broker/server";
import { decodePlain } from "@stingray/broker";
import { Bids, type LeaseAsk, type Shape } from "@stingray/protocol";
import { eventually } from "@stingray/protocol/testing";
import { expect } from "chai";
import { Bidders, type Bidder, type BidderOptions, type Granted } from "../support/bidders.js";
import { Tap, type Delivered } from "../support/tap.js";

const NODES: BidderOptions[] = [
  { total: { CPU: 4, GPU: 2 }, labels: { "accelerator-type": "H200" } },
  { total: { CPU: 4, GPU: 1 }, labels: { "accelerator-type": "L4", zone: "a" } },
  { total: { CPU: 4, printer: 2 }, labels: { zone: "a" } },
  { total: { CPU: 2, printer: 1, scanner: 1 } },
  { total: { CPU: 4 }, labels: { zone: "b" } },
  { total: { CPU: 2 } },
];
/** Small, so that a batch of requests needs a few messages, and together more than there is of some. */
const SHAPES: Shape[] = [
  { resources: { CPU: 0.02 } },
  { resources: { CPU: 0.1 } },
  { resources: { GPU: 0.005 } },
  { resources: { CPU: 0.01, GPU: 0.005 } },
  { resources: { GPU: 0.005 }, labels: { "accelerator-type": "L4" } },
  { resources: { GPU: 0.005 }, labels: { "accelerator-type": "!L4" } },
  { resources: { CPU: 0.01, printer: 0.02 } },
  { resources: { scanner: 0.005 } },
  { resources: { printer: 0.01, scanner: 0.005 } },
  { resources: { CPU: 0.01 }, labels: { zone: "a" } },
  { resources: { CPU: 0.01, GPU: 0.005 }, scheduling: { kind: "spread" } },
];
const REQUESTS = 10_000;
const BATCH = 20;

/** What a shape needs and the node has none of, in words; labels count where they choose among owners. */
function lacks(shape: Shape, { total, labels = {} }: BidderOptions): string | undefined {
  for (const [name, amount] of Object.entries(shape.resources)) {
    if (amount > (total[name] ?? 0)) return `${name}: ${amount}`;
  }
  for (const [label, wanted] of Object.entries(shape.labels ?? {})) {
    const negated = wanted.startsWith("!");
    if ((labels[label] === wanted.replace("!", "")) === negated) return `${label} ${wanted}`;
  }
  return undefined;
}

describe("what nodes are asked for", function () {
  this.timeout(60_000);
  let broker: EmbeddedBroker;
  let bidders: Bidders;
  const taps: Tap[] = [];
  /** By node: how many asks came over its own subject and over capability subjects, and those that should not have. */
  const seen = NODES.map(() => ({ offers: 0, calls: 0, wrong: [] as string[] }));

  before(async () => {
    broker = await EmbeddedBroker.start({ jetstream: false });
  });
  after(() => broker.stop());
  afterEach(async () => {
    await bidders.close();
    for (const tap of taps.splice(0)) await tap.close();
  });

  function look(index: number, { subject, payload }: Delivered): void {
    const plane = subject.split(".").slice(3);
    const isCall = plane[0] === "s";
    if (!isCall && (plane[0] !== "n" || plane.length !== 2)) return;
    const { ask, kind } = decodePlain(payload) as { ask: LeaseAsk; kind: string };
    if (kind === Bids.room.name) return;
    const counts = seen[index];
    if (counts === undefined) throw new Error(`no node ${index}`);
    if (isCall) counts.calls++;
    else counts.offers++;
    const missing = lacks(ask.shape, NODES[index] as BidderOptions);
    if (missing !== undefined) counts.wrong.push(`${subject}: ${JSON.stringify(ask.shape)} needs ${missing}`);
  }

  /** Every node asks for batches of every shape, one after another; what is granted is given back when all of it is. */
  async function run(requests: number): Promise<void> {
    const batches = Math.ceil(requests / (NODES.length * SHAPES.length * BATCH));
    const states: { left: number }[] = [];
    for (const home of bidders.all) {
      for (const shape of SHAPES) {
        const state = { left: batches * BATCH };
        const held: Granted[] = [];
        const submitter = bidders.submitter(home, shape, (grant) => {
          held.push(grant);
          if (state.left > 0 && --state.left % BATCH !== 0) return;
          for (const { bidder, lease } of held.splice(0)) bidder.bidding.scheduler.returned(lease, true);
          if (state.left > 0) submitter.demand(BATCH);
        });
        states.push(state);
        submitter.demand(BATCH);
      }
    }
    await eventually(
      () => {
        if (states.every(({ left }) => left === 0)) return true;
        throw new Error(`left: ${left(states)}`);
      },
      { message: "all to be granted", timeoutMs: 45_000 },
    );
    await eventually(() => bidders.all.every(isWhole), "all resources to be free");
  }

  const left = (submitters: { left: number }[]): string =>
    SHAPES.map((shape, i) => {
      const open = submitters.filter((_, k) => k % SHAPES.length === i).reduce((n, s) => n + s.left, 0);
      return `${JSON.stringify(shape)} ${open}`;
    }).join(", ");
  const isWhole = ({ account }: Bidder): boolean =>
    JSON.stringify(account.available) === JSON.stringify(account.total);

  for (const [what, standing] of [
    ["all heartbeats are heard", { hearAllUpTo: 32 }],
    ["few are", { hearAllUpTo: 2, sample: 1 }],
  ] as const) {
    it(`they have, where ${what}`, async () => {
      bidders = new Bidders(broker.options);
      for (const counts of seen) Object.assign(counts, { offers: 0, calls: 0, wrong: [] });
      for (const [index, o] of NODES.entries()) {
        const tap = await Tap.start(broker.options, (message) => look(index, message));
        taps.push(tap);
        await bidders.add({ ...o, standing, heartbeatMs: 250, limits: { maxWorkers: 10_000 } }, tap.broker);
      }
      await run(REQUESTS / 2);
      expect(seen.flatMap(({ wrong }) => wrong).slice(0, 5)).to.deep.equal([]);
      const sum = (name: "offers" | "calls"): number => seen.reduce((n, counts) => n + counts[name], 0);
      expect(sum("offers")).to.be.greaterThan(100);
      if (what === "few are") expect(sum("calls")).to.be.greaterThan(100);
      expect(bidders.malformed).to.deep.equal([]);
      expect(bidders.failed).to.deep.equal([]);
    });
  }
});
