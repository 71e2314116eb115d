/** What a process believes of an actor, from what its agent answers and sends by itself. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Transport } from "@stingray/broker";
import {
  Agent,
  Op,
  Subjects,
  newActorId,
  newAgentId,
  newDriverId,
  newNodeId,
  type ActorView,
} from "@stingray/protocol";
import { Runtime, processState } from "@stingray/task/internal";
import { expect } from "chai";
import { ActorClients } from "../src/clients.js";

describe("a process that watches an actor", () => {
  const node = newNodeId();
  let directory: string;
  let agent: Transport;
  let runtime: Runtime;
  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), "st-act-"));
    const common = { node, subjects: new Subjects("st", "test"), socketDir: directory, secret: "s" };
    const process = newDriverId();
    agent = await Transport.create({ ...common, process: newAgentId() });
    const transport = await Transport.create({ ...common, process });
    runtime = Runtime.start({
      transport,
      process,
      node,
      home: { agent: agent.process, node },
      job: undefined,
      store: undefined,
      markDir: undefined,
      warn: () => {},
      container: () => {
        throw new Error("nothing is injected here");
      },
      onLost: () => {},
    });
    processState.runtime = runtime;
  });
  afterEach(async () => {
    runtime.stop();
    await runtime.transport.close({ drainMs: 0 });
    await agent.close({ drainMs: 0 });
    rmSync(directory, { recursive: true, force: true });
  });

  it("believes the view that was sent last, also where it comes in one frame with an older answer", async () => {
    const actor = newActorId();
    const before: ActorView = { actor, state: "PENDING", epoch: 5 };
    const alive: ActorView = { actor, state: "ALIVE", epoch: 5, process: agent.process, node };
    agent.inbox.serve(Agent.actorWatch, (_, channel) => {
      // After the answer, in the same turn.
      process.nextTick(() => channel.send([Op.ActorState, alive]));
      return before;
    });
    const client = ActorClients.of("this test").known(actor, "Watched", Number.POSITIVE_INFINITY);
    const seen: string[] = [];
    await new Promise<void>((resolve) =>
      client.onChange(() => {
        seen.push(client.state.kind);
        if (client.state.kind === "alive") setImmediate(resolve);
      }),
    );
    expect(seen).to.deep.equal(["alive"]);
    expect(client.state.kind).to.equal("alive");
  });
});
