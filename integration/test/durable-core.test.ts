/** Calls of actors with a durable mailbox: order, state, restarts. */
import { expect } from "chai";
import { get, put } from "stingray";
import { rejection, testCluster, type TestCluster } from "stingray/testing";
import { LedgerActor } from "./fixtures/durable-actors.js";

describe("actors with a durable mailbox", function () {
  this.timeout(60_000);
  let cluster: TestCluster;
  before(async () => {
    cluster = await testCluster({ cpus: 4 });
  });
  after(() => cluster.end());

  const range = (n: number): string[] => Array.from({ length: n }, (_, i) => String(i));

  it("run calls in order and answer them", async () => {
    const ledger = LedgerActor.remote();
    const results = await get(range(500).map((entry) => ledger.add.remote(entry)));
    expect(results).to.deep.equal(Array.from({ length: 500 }, (_, i) => i + 1));
    expect(await get(ledger.all.remote())).to.deep.equal(range(500));
  });

  it("keep their state, and run each call once, when their process is killed", async () => {
    const file = cluster.file("killed");
    const ledger = LedgerActor.remote(file);
    const pid = await get(ledger.pid.remote());
    const calls = range(300).map((entry) => ledger.add.remote(entry));
    await get(calls[20] as (typeof calls)[0]);
    process.kill(pid, "SIGKILL");
    expect(await get(calls)).to.deep.equal(Array.from({ length: 300 }, (_, i) => i + 1));
    expect(await get(ledger.all.remote())).to.deep.equal(range(300));
    expect(await get(ledger.pid.remote())).not.to.equal(pid);
  });

  it("take values, references and large ones", async () => {
    const ledger = LedgerActor.remote();
    const reference = await put("x".repeat(1000));
    expect(await get(ledger.size.remote(reference))).to.equal(1000);
    expect(await get(ledger.size.remote(new Uint8Array(300_000)))).to.equal(300_000);
    expect((await get(ledger.big.remote(400_000))).byteLength).to.equal(400_000);
    const error = await rejection(get(ledger.fail.remote("as planned")));
    expect(error.code).to.equal("TASK_FAILED");
    expect(error.cause).to.be.instanceOf(RangeError);
    const holder = ledger.reference.remote();
    expect(await get(ledger.follow.remote(holder))).to.equal("inside");
  });
});
