/** Requests that nothing fits: what waits says so and runs when it can; what can never run fails. */
import { expect } from "chai";
import {
  ActorDiedError,
  InvalidOptionError,
  PendingCallsLimitError,
  UnschedulableError,
  get,
  nodes,
  ready,
  shutdown,
} from "stingray";
import { eventually } from "stingray/testing";
import { RemoteTalker, echo, square, where } from "./fixtures/bad-use-tasks.js";
import { refused, refusedNow } from "./support/bad-use.js";
import { ClusterByHand } from "./support/by-hand.js";

const NOBODY = "n000000000000";

describe("requests that no node fits", function () {
  this.timeout(40_000);
  let cluster: ClusterByHand;
  before(async () => {
    cluster = await ClusterByHand.start([]);
  });
  after(() => cluster.end());

  it("wait, say so on standard error within seconds, show in the status, and run when a fitting node joins", async () => {
    const program = cluster.sandbox.program("bad-use/waits-for-resources.js", [], cluster.settings);
    await program.says("waiting");
    const started = performance.now();
    await eventually(
      () => /stingray: 1 task \(where\) waits for .*rare: 1/.test(program.stderr),
      "it is said",
    );
    await eventually(
      () => /stingray: .*actor.*wait.*rarer/.test(program.stderr),
      "it is said of the actor, too",
    );
    expect(performance.now() - started).to.be.below(8_000);
    expect(program.stderr).to.match(/goes on until a node joins that can: add one \(stingray start .*rare/);
    const status = cluster.sandbox.stingray(["status"], cluster.settings);
    await status.succeeds();
    expect(status.stdout).to.contain("rare");
    const made = await cluster.node("--resources", '{"rare":1,"rarer":1}');
    cluster.started.push(made);
    expect(await program.says("ran")).to.equal(made.node);
    expect(await program.says("said")).to.equal("true");
    await program.succeeds();
    expect(program.stderr.match(/task \(where\) waits/g), "said once").to.have.length(1);
  });

  it("fail where they are bound to a node that is not there, and run where the binding is soft", async () => {
    await cluster.join();
    const hard = where.options({ scheduling: { node: NOBODY } });
    await refused(
      get(hard.remote()),
      UnschedulableError,
      [NOBODY, /not known in this cluster/, /nodes\(\)/, /soft: true/],
      8_000,
    );
    const soft = where.options({ scheduling: { node: NOBODY, soft: true } });
    expect((await get(soft.remote())).node).to.be.oneOf((await nodes()).map(({ node }) => node));
    const actor = RemoteTalker.options({ scheduling: { node: NOBODY } }).remote();
    const texts = [NOBODY, /not in the cluster/, /make the affinity soft/];
    const error = await refused(ready(actor), ActorDiedError, texts, 8_000);
    expect(error.cause).to.be.instanceOf(UnschedulableError);
    await refused(get(actor.look.remote()), ActorDiedError, texts, 1_000);
    const [first] = await nodes();
    const tooMuch = where.options({ scheduling: { node: first?.node ?? "" }, cpus: 1_000 });
    await refused(
      get(tooMuch.remote()),
      UnschedulableError,
      [first?.node ?? "", /can't take it/, /CPU/],
      8_000,
    );
    refusedNow(() => where.options({ scheduling: { node: "" } }), InvalidOptionError, [/scheduling/]);
    await shutdown();
  });

  it("values too large for a message go to the store, and those too large for that to disk", async () => {
    await cluster.join();
    const large = new Uint8Array(8 << 20).fill(7);
    expect(((await get(echo.remote(large))) as Uint8Array).length).to.equal(large.length);
    const huge = new Uint8Array(200 << 20).fill(9);
    const back = (await get(echo.remote(huge))) as Uint8Array;
    expect([back.length, back[0], back.at(-1)]).to.deep.equal([huge.length, 9, 9]);
    expect(await get(square.remote(3))).to.equal(9);
    await shutdown();
  });

  it("calls beyond maxPendingCalls are refused", async () => {
    await cluster.join();
    const talker = RemoteTalker.options({ maxPendingCalls: 1 }).remote();
    const first = talker.look.remote();
    refusedNow(() => talker.look.remote(), PendingCallsLimitError, [/Talker/, /maxPendingCalls|1 call/]);
    expect(await get(first)).to.equal(1);
    await shutdown();
  });
});
