/** Whoever waits lends its place: on a single processor, everything that waits for something that needs one. */
import { expect } from "chai";
import {
  TaskCancelledError,
  TaskTimeoutError,
  availableResources,
  cancel,
  get,
  type ObjectRef,
} from "stingray";
import { eventually, rejection, testCluster, type TestCluster } from "stingray/testing";
import * as nest from "./fixtures/nesting.js";
import { linesOf } from "./support/lines.js";

describe("waiting on a single processor", function () {
  this.timeout(60_000);
  let test: TestCluster;
  before(async () => {
    test = await testCluster({ cpus: 1, resources: { idle: 1 } });
  });
  after(() => test.end());
  afterEach("the processor is free again", () =>
    eventually(async () => {
      expect(await availableResources()).to.include({ CPU: 1 });
      return true;
    }, "everything is given back"),
  );

  const expected: Record<string, number> = { get: 1, wait: 1, asCompleted: 2, stream: 10, actor: 2 };
  for (const [how, result] of Object.entries(expected))
    it(`a task that waits by ${how}`, async () => {
      expect(await get(nest.waitIn.remote(how))).to.equal(result);
    });

  it("actors that wait for each other and, the last of them, for a task", async () => {
    expect(await get(nest.makeChain.remote(2))).to.equal(2);
  });

  describe("for what never comes", () => {
    let never: ObjectRef;
    before(async () => {
      const file = test.file("never");
      never = nest.never.options({ cpus: 0, resources: { idle: 0.5 } }).remote(file);
      await eventually(() => linesOf(file).length > 0, "it has begun");
    });
    after(() => cancel(never));

    it("does not keep the processor", async () => {
      const refs = [1, 2, 3].map(() => nest.waitsForever.remote({ never }));
      expect(await get(nest.one.remote())).to.equal(1);
      for (const ref of refs) await cancel(ref);
      for (const ref of refs) expect(await rejection(get(ref))).to.be.instanceOf(TaskCancelledError);
    });

    it("ends at the time limit of the task, whose process goes on", async () => {
      const ref = nest.waitsForever.options({ timeoutMs: 50 }).remote({ never });
      const error = await rejection(get(ref));
      expect(error).to.be.instanceOf(TaskTimeoutError);
      expect(error.message).not.to.match(/ended/);
    });

    it("and is left behind, counts no longer: tasks of that process still run one at a time", async () => {
      await get([1, 2, 3].map(() => nest.leavesGetBehind.remote({ never })));
      const most = await get(Array.from({ length: 20 }, () => nest.countRunning.remote()));
      expect(Math.max(...most)).to.equal(1);
    });
  });
});
