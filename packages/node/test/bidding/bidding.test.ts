/** Offers, calls and news of room over a real broker: what is answered, by whom, and when. */
import { EmbeddedBroker } from "@stingray/broker/server";
import { decodePlain, encodePlain } from "@stingray/broker";
import {
  Bids,
  ErrorCode,
  newAgentId,
  newDriverId,
  newJobId,
  newNodeId,
  type LeaseAnswer,
  type LeaseAsk,
  type Shape,
} from "@stingray/protocol";
import { eventually } from "@stingray/protocol/testing";
import { expect } from "chai";
import { Bidders, type Granted } from "../support/bidders.js";

interface Reply {
  answer?: LeaseAnswer;
  error?: { code: string; message: string };
}

describe("bidding", function () {
  this.timeout(20_000);
  const large = { hearAllUpTo: 0, sample: 1 };
  let broker: EmbeddedBroker;
  let bidders: Bidders;

  before(async () => {
    broker = await EmbeddedBroker.start({ jetstream: false });
  });
  after(() => broker.stop());
  beforeEach(() => {
    bidders = new Bidders(broker.options);
  });
  afterEach(() => bidders.close());

  const ask = (o: Partial<LeaseAsk> = {}): LeaseAsk => ({
    offer: `${newNodeId()}.1`,
    asker: newAgentId(),
    askerNode: newNodeId(),
    job: newJobId(),
    submitter: newDriverId(),
    key: "k",
    shape: { resources: { CPU: 1 } },
    count: 1,
    deadlineMs: 1_000,
    ...o,
  });
  /** As any client of the broker could. */
  async function request(subject: string, body: unknown): Promise<Reply> {
    const nc = bidders.all[0]?.nc;
    if (nc === undefined) throw new Error("no bidder");
    const data = body instanceof Uint8Array ? body : encodePlain(body);
    return decodePlain((await nc.request(subject, data, { timeout: 5_000 })).data) as Reply;
  }
  const offer = (body: LeaseAsk, kind = Bids.offer.name): object => ({ v: 1, kind, ask: body });

  it("grants an offer once, and gives the same answer to the same offer", async () => {
    const one = await bidders.add({ total: { CPU: 4 } });
    const subject = bidders.subjects.node(one.node);
    const body = ask({ count: 2 });
    const [first, second] = [await request(subject, offer(body)), await request(subject, offer(body))];
    expect(first.answer).to.deep.include({ granted: 2 });
    expect(first.answer?.bid.available).to.deep.equal({ CPU: 2 });
    expect(second).to.deep.equal(first);
    expect(one.bidding.scheduler.snapshot().leases).to.have.length(2);
  });

  it("answers what is malformed, unknown, of another version or for a node without it with why", async () => {
    const one = await bidders.add({ total: { CPU: 1 } });
    const subject = bidders.subjects.node(one.node);
    const malformed = [
      new Uint8Array([0xff, 1, 2]),
      [1, 2],
      { v: 2, kind: "lease.offer", ask: ask() },
      { v: 1, kind: "lease.sell", ask: ask() },
      { v: 1, kind: "lease.offer", ask: { ...ask(), count: -1 } },
    ];
    for (const body of malformed) {
      const { error } = await request(subject, body);
      expect(error?.code, JSON.stringify(body)).to.equal(ErrorCode.ProtocolError);
    }
    expect(bidders.malformed).to.have.length(malformed.length);
    const bad = await request(subject, offer(ask({ offer: "nonsense" })));
    expect(bad.error?.code).to.equal(ErrorCode.InvalidArgumentError);
    const { answer } = await request(subject, offer(ask({ shape: { resources: { GPU: 1 } } })));
    expect(answer).to.deep.include({ granted: 0 });
    expect(answer?.reason).to.contain("this node has none");
    expect(one.account.available).to.deep.equal({ CPU: 1 });
  });

  it("refuses an offer that is older than what it remembers of the asker", async () => {
    const one = await bidders.add({ total: { CPU: 1 } });
    const subject = bidders.subjects.node(one.node);
    const asker = newNodeId();
    const shape: Shape = { resources: { CPU: 2 } };
    // More than are remembered, in one go.
    for (let i = 1; i <= 4_200; i++)
      one.nc.publish(subject, encodePlain(offer(ask({ offer: `${asker}.${i}`, shape }))));
    const stale = await eventually(async () => {
      const reply = await request(subject, offer(ask({ offer: `${asker}.5` })));
      return reply.error;
    }, "an offer to be stale");
    expect(stale.code).to.equal(ErrorCode.InvalidArgumentError);
    expect(stale.message).to.contain("stale");
    expect(one.account.available).to.deep.equal({ CPU: 1 });
  });

  it("listens to the classes that it owns, while it has some free and does not drain", async () => {
    const one = await bidders.add({
      total: { CPU: 2, GPU: 1, special: 1 },
      labels: { "accelerator-type": "L4" },
    });
    const { bidding, account } = one;
    const classes = (): string => bidding.classes.toSorted().join();
    expect(classes()).to.equal("cpu,gpu,gpu:L4,r:special");
    const submitter = bidders.submitter(one, { resources: { GPU: 1, special: 0.5 } }, () => undefined);
    submitter.demand(1);
    await eventually(() => classes() === "cpu,r:special", "it to leave the classes of GPUs");
    const [lease] = bidding.scheduler.snapshot().leases;
    bidding.scheduler.returned(lease?.lease ?? "", true);
    await eventually(() => classes() === "cpu,gpu,gpu:L4,r:special", "it to join again");
    account.setTotal("special", 0);
    bidding.scheduler.capacityChanged();
    await eventually(() => classes() === "cpu,gpu,gpu:L4", "it to leave what it does not own any more");
    bidding.scheduler.drain();
    await eventually(() => classes() === "", "it to leave all while it drains");
  });

  it("passes a call on to a better node, and names others", async () => {
    const full = await bidders.add({ total: { CPU: 2, special: 1 } });
    const other = await bidders.add({ total: { CPU: 8, special: 4 } });
    await eventually(() => full.view.has(other.node), "one to hear the other");
    bidders.submitter(full, { resources: { CPU: 2 } }, () => undefined).demand(1);
    await eventually(() => (full.account.available["CPU"] ?? 2) === 0, "one to be full");
    const shape: Shape = { resources: { CPU: 1, special: 0.5 } };
    // Both listen to the class: it is called until the full one was asked.
    const passed = await eventually(async () => {
      const body = offer(ask({ shape }), Bids.call.name);
      const { answer } = await request(bidders.subjects.capability("r:special"), body);
      return answer?.bid.node === full.node ? answer : undefined;
    }, "the full node to be called");
    expect(passed.granted).to.equal(0);
    expect(passed.passed).to.deep.include({ node: other.node, granted: 1 });
    expect(passed.others?.map(({ node }) => node)).to.deep.equal([other.node]);
  });

  it("misses no room: whoever waits is told, whichever comes first", async () => {
    const homes = [];
    for (let i = 0; i < 3; i++) homes.push(await bidders.add({ total: { CPU: 1 }, standing: large }));
    const shape: Shape = { resources: { special: 1 } };
    const owner = await bidders.add({ total: { CPU: 1, special: 1 }, standing: large });
    let served = 0;
    const granted = ({ bidder, lease }: Granted): void => {
      served++;
      // Given back after a turn or more, so that waiting and room coincide in all ways.
      setTimeout(() => bidder.bidding.scheduler.returned(lease, true), served % 3);
    };
    const submitters = homes.map((home) => bidders.submitter(home, shape, granted));
    for (let round = 1; round <= 10; round++) {
      for (const submitter of submitters) submitter.demand(1);
      await eventually(() => served === round * 3, `round ${round}`);
    }
    await eventually(() => owner.account.available["special"] === 1, "it to be free");
  });

  it("says that nobody has any, and whose call it was that died with its node", async () => {
    const home = await bidders.add({ total: { CPU: 1 }, standing: large });
    const owner = await bidders.add({ total: { CPU: 1, special: 1 }, standing: large });
    const shape: Shape = { resources: { special: 1 } };
    bidders.submitter(owner, shape, () => undefined).demand(1);
    await eventually(() => !owner.bidding.classes.includes("r:special"), "it to be taken");
    await owner.nc.flush();
    const submitter = bidders.submitter(home, shape, () => undefined);
    submitter.demand(1);
    const [waiting] = await eventually(() => {
      const demands = home.bidding.scheduler.pending();
      return demands[0]?.trail.some(({ kind }) => kind === "call") ? demands : undefined;
    }, "it to have called");
    expect(waiting?.trail.find(({ kind }) => kind === "call")).to.deep.include({
      class: "r:special",
      answer: "no node has any r:special free",
    });
    await owner.die();
    await eventually(() => home.bidding.scheduler.pending()[0]?.waitsFor === "never", "it to know");
  });
});
