/** A program whose whole cluster ends under it: it is told, nothing hangs, and nothing of it stays. */
import { expect } from "chai";
import { ConnectionError, get, shutdown } from "stingray";
import { testCluster } from "stingray/testing";
import { Keeper, rest } from "./fixtures/life-tasks.js";

describe("a program whose cluster ends for good", function () {
  this.timeout(60_000);

  it("gets a typed error for everything that it waits for, and can leave", async () => {
    const cluster = await testCluster();
    try {
      const actor = Keeper.remote();
      await get(actor.keep.remote(1));
      const waits = [rest.remote(120_000), rest.remote(120_000)].map((ref) =>
        get(ref).then(
          () => undefined,
          (error: unknown) => error,
        ),
      );
      await cluster.removeNode(cluster.node());
      await cluster.broker.kill();
      for (const error of await Promise.all(waits)) expect(error).to.be.instanceOf(ConnectionError);
      const asked: unknown = await get(actor.kept.remote()).catch((error: unknown) => error);
      expect(asked).to.be.an("error");
      await shutdown();
    } finally {
      await cluster.end();
    }
  });
});
