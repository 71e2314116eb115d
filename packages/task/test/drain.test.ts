/** What becomes of tasks and values whose node is drained. */
import {
  DRAINING,
  Owner,
  WorkerCrashedError,
  newAgentId,
  newNodeId,
  type ObjectId,
  type ValueDesc,
} from "@stingray/protocol";
import { eventually } from "@stingray/protocol/testing";
import { encode } from "@stingray/objectstore";
import { expect } from "chai";
import { get } from "../src/get.js";
import { processState } from "../src/process-state.js";
import { PlayedCluster } from "./support/process.js";

const small = (value: unknown): ValueDesc => [0, encode(value).bytes()];

describe("on a node that is drained", () => {
  let played: PlayedCluster;
  beforeEach(async () => {
    played = await PlayedCluster.start();
    await played.join();
    processState.runtime = played.runtime;
  });
  afterEach(() => {
    processState.runtime = undefined;
    return played.end();
  });

  it("a task loses no attempt, however often its worker is ended", async () => {
    const { task, refs } = played.submit([], { maxRetries: 1 });
    for (let round = 0; round < 3; round++) {
      const worker = await played.worker();
      await worker.sent(task);
      played.lose(worker, DRAINING);
    }
    const last = await played.worker();
    await last.end(task, [small("done")]);
    expect(await get(refs[0] as never)).to.equal("done");
    expect(task.attempt).to.equal(0);
  });

  it("a task that must not run twice fails, and says why", async () => {
    const { task, refs } = played.submit([], { maxRetries: 0 });
    const worker = await played.worker();
    await worker.sent(task);
    played.lose(worker, DRAINING);
    const error = await get(refs[0] as never).catch((thrown: unknown) => thrown);
    expect(error).to.be.instanceOf(WorkerCrashedError);
    expect((error as Error).message)
      .to.contain("was drained")
      .and.to.contain("maxRetries");
  });

  it("a value's owner learns where it is now, as soon as it knows the value", async () => {
    const worker = await played.worker();
    const { task, refs } = played.submit([]);
    const [entry] = task.results;
    if (entry === undefined) throw new Error("a task has a result");
    const there: [node: string, agent: string] = [newNodeId(), newAgentId()];
    const channel = worker.transport.inbox.channel({ endpoint: played.runtime.process, node: played.node });
    const tell = async (object: ObjectId, size = 200_000): Promise<string> => {
      const ask = { object, size, from: played.node, to: there };
      return (await channel.request(Owner.moved, ask, { timeoutMs: 5_000 })).outcome;
    };
    expect(await tell(entry.id)).to.equal("unknown");
    played.runtime.table.publish(entry);
    expect(await tell(entry.id)).to.equal("pending");
    await worker.end(task, [played.stored(entry.id)]);
    await eventually(() => entry.ready || undefined, "it is known");
    expect(await tell(entry.id, 5)).to.equal("unknown");
    expect(await tell(entry.id)).to.equal("moved");
    expect(entry.state).to.deep.include({ kind: "stored", location: [200_000, [there], entry.generation] });
    refs[0]?.release();
    expect(await tell(entry.id)).to.equal("unknown");
  });
});
