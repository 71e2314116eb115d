import { expect } from "chai";
import { newNodeId } from "@stingray/protocol";
import { GivenLeases } from "../src/given.js";

describe("leases that were given", () => {
  const [a, b] = [newNodeId(), newNodeId()];

  it("are on their way until the submitter says that so many have come", () => {
    const given = new GivenLeases(5);
    given.here(0);
    expect(given.isRemote).to.equal(false);
    expect(given.elsewhere(a, 3, 0, [])).to.equal(3);
    given.seen(5, 0);
    expect([given.unseen, given.isRemote]).to.deep.equal([4, true]);
    given.seen(7, 0);
    expect(given.unseen).to.equal(2);
    given.seen(9, 0);
    expect([given.unseen, given.isRemote]).to.deep.equal([0, false]);
  });

  it("may come before the answer of the node that gave them, and are counted once", () => {
    const given = new GivenLeases(0);
    given.seen(2, 3);
    expect([given.elsewhere(a, 3, 0, []), given.unseen]).to.deep.equal([1, 1]);
    // Only what is being asked for can have come early: the rest is from before.
    given.seen(9, 0);
    expect([given.elsewhere(a, 1, 0, []), given.unseen]).to.deep.equal([1, 1]);
  });

  it("are all known of by a submitter that does not count", () => {
    const given = new GivenLeases(0);
    given.elsewhere(a, 3, 0, []);
    given.seen(undefined, 0);
    expect(given.unseen).to.equal(0);
  });

  it("are all known of by a submitter that counts from the beginning again", () => {
    const given = new GivenLeases(0);
    given.elsewhere(a, 3, 0, []);
    given.seen(2, 0);
    given.elsewhere(b, 2, 0, []);
    given.seen(0, 0);
    expect(given.unseen).to.equal(0);
    given.elsewhere(a, 1, 0, []);
    given.seen(1, 0);
    expect(given.unseen).to.equal(0);
  });

  it("may never arrive when a node dies that gave some of those on their way", () => {
    const given = new GivenLeases(0);
    given.elsewhere(a, 2, 0, ["l1", "l2"]);
    given.elsewhere(b, 1, 0, []);
    given.seen(2, 0);
    expect(given.nodeGone(newNodeId())).to.deep.equal({ again: 0, leases: [] });
    expect(given.nodeGone(a)).to.deep.equal({ again: 1, leases: ["l1", "l2"] });
    expect(given.nodeGone(b)).to.deep.equal({ again: 0, leases: [] });
  });

  it("have arrived after a while", () => {
    const given = new GivenLeases(0);
    given.elsewhere(a, 1, 0, []);
    given.elsewhere(b, 1, 60, []);
    expect([given.prune(99, 100), given.unseen]).to.deep.equal([true, 2]);
    expect([given.prune(100, 100), given.unseen]).to.deep.equal([true, 1]);
    expect([given.prune(160, 100), given.unseen]).to.deep.equal([false, 0]);
  });
});
