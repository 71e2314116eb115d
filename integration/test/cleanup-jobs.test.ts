/** A driver that is killed leaves nothing of its job in a running cluster, but the actors that were to stay. */
import { connectBroker } from "@stingray/broker/connect";
import { Kvm } from "@nats-io/kv";
import { expect } from "chai";
import { availableResources, get, getActor, kill, listNamedActors, nodes } from "stingray";
import { eventually, isRunning } from "stingray/testing";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ClusterByHand } from "./support/by-hand.js";
import { objectBytes } from "./support/object-bytes.js";

interface Keeper {
  keep(value: unknown): void;
  kept(): unknown;
}

describe("a job whose driver is killed", function () {
  this.timeout(60_000);
  let cluster: ClusterByHand;
  before(async () => {
    cluster = await ClusterByHand.start([], []);
    await cluster.join();
  });
  after(() => cluster.end());

  /** Keys of the rows in all tables of the cluster. */
  async function rows(): Promise<string[]> {
    const nc = await connectBroker(cluster.broker.options);
    try {
      const kvm = new Kvm(nc);
      const found: string[] = [];
      for await (const { bucket } of kvm.list()) {
        const kv = await kvm.open(bucket);
        for await (const key of await kv.keys()) found.push(`${bucket}/${key}`);
      }
      return found;
    } finally {
      await nc.close();
    }
  }

  it("goes within seconds: workers, actors, objects and rows; what was to stay stays", async () => {
    const before = new Set(await rows());
    const file = join(cluster.sandbox.directory, "notes");
    const program = cluster.sandbox.program("life-program.js", ["furnish", file], cluster.settings);
    await program.says("ready");
    const job = await program.says("job");
    const spinning = await eventually(
      () => Number(readFileSync(file, "utf8").trim()),
      "a worker is in its loop",
    );
    await eventually(async () => (await objectBytes()) > 0, "an object is stored");
    expect((await rows()).some((key) => key.includes(job))).to.equal(true);

    program.signal("SIGKILL");
    await program.ended();
    const killedAt = performance.now();
    await eventually(() => !isRunning(spinning), "its worker is gone");
    await eventually(async () => (await objectBytes()) === 0, "its objects are gone");
    await eventually(
      async () => (await nodes()).reduce((sum, { actors }) => sum + actors, 0) === 1,
      "its actors are gone but for the detached one",
    );
    await eventually(async () => (await availableResources())["CPU"] === 4, "its CPUs are free");
    expect(performance.now() - killedAt).to.be.below(10_000);

    const stays = await getActor<Keeper>("stays", { namespace: "life" });
    expect(await get(stays.kept.remote())).to.equal("still here");
    expect(await listNamedActors({ namespace: "life" })).to.deep.equal([
      { namespace: "life", name: "stays" },
    ]);
    await kill(stays);
    await eventually(
      async () => (await listNamedActors({ namespace: "life" })).length === 0,
      "its name is free",
    );
    // Rows of ended actors are kept for a while for those who ask why; all else goes.
    await eventually(
      async () => {
        const added = (await rows()).filter((key) => !before.has(key) && !key.includes("actors/"));
        if (added.length > 0) throw new Error(`rows: ${added.join(", ")}`);
        return true;
      },
      { message: "its rows are gone", timeoutMs: 20_000 },
    );
  });
});
