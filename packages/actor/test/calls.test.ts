/** The calls of one actor at their caller: what is sent again goes in order, and waits for arguments that were lost. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Transport, type Channel } from "@stingray/broker";
import { encode } from "@stingray/objectstore";
import {
  Op,
  Subjects,
  TaskStatus,
  actorCall,
  newActorId,
  newAgentId,
  newDriverId,
  newNodeId,
  type ActorCall,
  type ValueDesc,
} from "@stingray/protocol";
import { Runtime, encodeThrown, type ObjectEntry } from "@stingray/task/internal";
import { expect } from "chai";
import { ActorCallState } from "../src/call.js";
import { ActorCalls } from "../src/calls.js";

describe("calls that are sent again", () => {
  const node = newNodeId();
  let directory: string;
  let peer: Transport;
  let runtime: Runtime;
  let calls: ActorCalls;
  let sent: ActorCall[];
  let answering: Channel;
  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), "st-act-"));
    const common = { node, subjects: new Subjects("st", "test"), socketDir: directory, secret: "s" };
    const process = newDriverId();
    // The agent, and the process of the actor as well.
    peer = await Transport.create({ ...common, process: newAgentId() });
    runtime = Runtime.start({
      transport: await Transport.create({ ...common, process }),
      process,
      node,
      home: { agent: peer.process, node },
      job: undefined,
      store: undefined,
      markDir: undefined,
      warn: () => {},
      container: () => {
        throw new Error("nothing is injected here");
      },
      onLost: () => {},
    });
    sent = [];
    peer.inbox.on(Op.ActorCall, actorCall, (message, channel) => {
      answering = channel;
      sent.push(message);
    });
    calls = new ActorCalls(runtime, {
      id: newActorId(),
      className: "Called",
      maxPendingCalls: Infinity,
      channel: runtime.transport.inbox.channel({ endpoint: peer.process, node }),
      takesCalls: true,
      deathCause: undefined,
      waitReason: undefined,
      waitCause: undefined,
      idle: () => {},
    });
  });
  afterEach(async () => {
    runtime.stop();
    await runtime.transport.close({ drainMs: 0 });
    await peer.close({ drainMs: 0 });
    rmSync(directory, { recursive: true, force: true });
  });

  const call = (method: string, argument?: ObjectEntry): ActorCallState => {
    const sequence = runtime.table.nextSequence();
    const results = [runtime.table.own(sequence, 0)];
    const args = {
      whole: argument === undefined ? encode([]).bytes() : undefined,
      slots: argument === undefined ? undefined : [{ kind: "object" as const, entry: argument }],
      pinned: [],
    };
    const made = new ActorCallState(
      sequence,
      method,
      args,
      results,
      1,
      undefined,
      3,
      true,
      undefined,
      undefined,
    );
    runtime.table.handle(results[0] as ObjectEntry);
    calls.submit(made);
    return made;
  };
  const fail = ({ sequence }: ActorCallState): void => {
    const error: ValueDesc = [2, encodeThrown(new Error("try again"))];
    answering.send([Op.TaskDone, sequence, TaskStatus.Failed, [error], 1]);
  };
  const methods = (): string[] => sent.map(([, , method]) => method);
  const until = async (check: () => boolean, what: string): Promise<void> => {
    for (const end = performance.now() + 5_000; !check();) {
      if (performance.now() > end)
        throw new Error(`${what}: not within 5 s, was sent ${methods().join(", ")}`);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  };

  it("wait for an argument that is being made again, and keep their order", async () => {
    const { table } = runtime;
    const argument = table.own(table.nextSequence(), 0);
    const ref = table.handle(argument);
    table.settle(argument, { kind: "inline", bytes: encode(1).bytes() });
    const [first, second] = [call("first", argument), call("second", argument)];
    await until(() => sent.length === 2, "both are sent");
    table.remake(argument);
    const third = call("third", argument);
    fail(first);
    fail(second);
    await until(() => first.phase === "queued" && second.phase === "queued", "both are to be sent again");
    expect(methods()).to.deep.equal(["first", "second"]);
    table.settle(argument, { kind: "inline", bytes: encode(2).bytes() });
    await until(() => sent.length === 5, "all are sent");
    expect(methods().slice(2)).to.deep.equal(["first", "second", "third"]);
    for (const [, , , args] of sent) expect((args as ValueDesc[])[0]?.[0]).to.equal(0);
    expect([first.attempt, second.attempt, third.attempt]).to.deep.equal([1, 1, 0]);
    ref.release();
  });

  it("need no turn of their own where their arguments are there", async () => {
    const first = call("first");
    await until(() => sent.length === 1, "it is sent");
    fail(first);
    await until(() => sent.length === 2, "it is sent again");
    expect(sent.map(([, , , , , attempt]) => attempt)).to.deep.equal([0, 1]);
  });
});
