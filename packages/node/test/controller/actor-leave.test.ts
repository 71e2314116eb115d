/** What an incarnation goes through before it is made again on another node. */
import type { ActorSpec, ProcessId } from "@stingray/protocol";
import { expect } from "chai";
import type { HostHooks, Incarnation } from "../../src/controller/actor-host.js";
import { leaveInOrder } from "../../src/controller/actor-leave.js";

describe("an actor that leaves its node", () => {
  const worker = "w1" as ProcessId;

  /** What happens, in order, where the worker answers so. */
  async function steps(
    answer: Promise<{ running: number; error?: string }>,
    late = new AbortController(),
  ): Promise<string[]> {
    const seen: string[] = [];
    const hooks: Partial<HostHooks> = {
      leaveActor: () => answer,
      killWorker: () => void seen.push("killed"),
      whenGone: async () => {
        await new Promise((turn) => setImmediate(turn));
        seen.push("gone");
      },
      moved: () => {
        seen.push("moved");
        return Promise.resolve(true);
      },
      failed: () => void seen.push("failed"),
    };
    const spec = { actor: "a1", className: "Counter", maxRestarts: 1, methods: {} } as unknown as ActorSpec;
    const inc: Incarnation = { spec, epoch: 1, fresh: true, state: "alive", worker };
    const o = { reason: "new disk", deadlineMs: 10, again: true, late: late.signal };
    const outcome = await leaveInOrder(inc, o, hooks as HostHooks, () => {
      inc.state = "over";
      seen.push("detached");
    });
    expect(outcome).to.equal("moved");
    return seen;
  }

  it("keeps its process where no call runs any more, also when its onDeactivate throws", async () => {
    expect(await steps(Promise.resolve({ running: 0 }))).to.deep.equal(["detached", "moved"]);
    const threw = Promise.resolve({ running: 0, error: "no disk" });
    expect(await steps(threw)).to.deep.equal(["failed", "detached", "moved"]);
  });

  it("is made again only when the process has ended in which a call may still run", async () => {
    const ends = ["killed", "gone", "detached", "moved"];
    expect(await steps(Promise.resolve({ running: 1 }))).to.deep.equal(ends);
    expect(await steps(Promise.reject(new Error("no answer")))).to.deep.equal(["failed", ...ends]);
    const late = new AbortController();
    const silent = new Promise<never>(() => undefined);
    const waiting = steps(silent, late);
    late.abort();
    expect(await waiting).to.deep.equal(ends);
    expect(await steps(silent, late)).to.deep.equal(ends);
  });
});
