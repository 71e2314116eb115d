/** A program whose whole cluster ends under it: it is told, nothing hangs, and nothing of it stays. */
import { expect } from "chai";
import { ConnectionError, get, init, shutdown } from "stingray";
import { Keeper, rest } from "./fixtures/life-tasks.js";
import { ClusterByHand } from "./support/by-hand.js";

describe("a program whose cluster ends for good", function () {
  this.timeout(60_000);

  it("gets a typed error for everything that it waits for, and can leave", async () => {
    const cluster = await ClusterByHand.start([]);
    try {
      await init({ logToDriver: false });
      const actor = Keeper.remote();
      await get(actor.keep.remote(1));
      const waits = [rest.remote(120_000), rest.remote(120_000)].map((ref) =>
        get(ref).then(
          () => undefined,
          (error: unknown) => error,
        ),
      );
      cluster.started[0]?.command.signal("SIGTERM");
      await cluster.started[0]?.command.ended();
      await cluster.broker.stop();
      for (const error of await Promise.all(waits)) expect(error).to.be.instanceOf(ConnectionError);
      const asked: unknown = await get(actor.kept.remote()).catch((error: unknown) => error);
      expect(asked).to.be.an("error");
      await shutdown();
    } finally {
      await cluster.end();
    }
  });
});
