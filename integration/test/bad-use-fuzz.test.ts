/** Nothing that arrives on one of our subjects ends a process, a task or an actor; senders are told, and it shows in the log. */
import { readFileSync } from "node:fs";
import { inspect } from "node:util";
import { connect, type NatsConnection, type Subscription } from "@nats-io/transport-node";
import { PROTOCOL_VERSION, Subjects, type ActorId, type NodeId, type ProcessId } from "@stingray/protocol";
import { Decoder, Encoder } from "cbor-x";
import { expect } from "chai";
import { availableResources, get, nodes, ready, type Cluster } from "stingray";
import { eventually, isRunning } from "stingray/testing";
import { Tally, rest, square, where } from "./fixtures/life-tasks.js";
import { identity } from "./fixtures/bad-use-tasks.js";
import { ClusterByHand } from "./support/by-hand.js";
import { Fuzzer } from "./support/fuzz.js";

const MESSAGES = 10_000;
const SEED = Number(process.env["STINGRAY_FUZZ_SEED"] ?? Date.now() % 1_000_000);

const megabytes = (pid: number): number =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1] ?? 0) / 1024;

describe("malformed messages", function () {
  this.timeout(60_000);
  let cluster: ClusterByHand;
  let program: Cluster;
  let nc: NatsConnection;
  const subjects = new Subjects();
  before(async () => {
    cluster = await ClusterByHand.start(["--links", "nats"], []);
    program = await cluster.join({ links: "nats" });
    nc = await connect({ servers: cluster.broker.url, token: cluster.settings["STINGRAY_TOKEN"] ?? "" });
  });
  after(async () => {
    await nc.close();
    await cluster.end();
  });

  it(`${MESSAGES} of them, on every subject, harm neither processes nor what runs (seed ${SEED})`, async () => {
    const fuzzer = new Fuzzer(SEED);
    const [left, right] = await nodes();
    if (left === undefined || right === undefined) throw new Error("two nodes are needed");
    const tally = Tally.remote(`${cluster.sandbox.directory}/tally`);
    await ready(tally);
    const actor = await get(tally.where.remote());
    const observed = nc.subscribe(subjects.everything(), { callback: (_, m) => fuzzer.observe(m.data) });
    const worker = await get(identity.remote());
    const driver = worker.owner as ProcessId;
    const actorId = /a[0-9a-z]{12}/.exec(inspect(tally))?.[0] as ActorId;
    await get(Array.from({ length: 50 }, (_, i) => square.remote(i, 0)));
    observed.unsubscribe();

    const targets = [
      subjects.process(left.agent as ProcessId),
      subjects.process(right.agent as ProcessId),
      subjects.process(driver),
      subjects.process(worker.id as ProcessId),
      subjects.process(fuzzer.id("w") as ProcessId),
      subjects.mailbox(actorId),
      subjects.capability("driver"),
      subjects.node(left.node as NodeId),
      subjects.heartbeat(left.node as NodeId),
      subjects.heartbeat(fuzzer.id("n") as NodeId),
      subjects.deaths(),
      subjects.log(program.jobId),
      subjects.noResponder(driver, left.agent as ProcessId),
    ];
    const agents = [left.pid, right.pid];
    const before = agents.map(megabytes);

    const fuzz = { on: true };
    const squares = (async () => {
      let done = 0;
      for (; fuzz.on || done < 100; done += 10) {
        const inputs = Array.from({ length: 10 }, (_, i) => done + i);
        expect(await get(inputs.map((n) => square.remote(n, 1)))).to.deep.equal(inputs.map((n) => n * n));
      }
      return done;
    })();
    const calls = (async () => {
      let made = 0;
      for (; fuzz.on || made < 100; made += 5) {
        const refs = Array.from({ length: 5 }, (_, i) => tally.add.remote(made + i));
        expect(await get(refs)).to.deep.equal(refs.map((_, i) => made + i + 1));
      }
      return made;
    })();
    let answers = 0;
    const replies = nc.subscribe(`${nc.info?.client_id ?? 0}.replies`, { callback: () => void answers++ });
    const publishAll = async (): Promise<void> => {
      for (let i = 0; i < MESSAGES; i++) {
        const subject = fuzzer.pick(targets);
        const reply = fuzzer.below(3) === 0 ? { reply: replies.getSubject() } : undefined;
        nc.publish(subject, fuzzer.message(subject.slice(subject.lastIndexOf(".") + 1)), reply);
        if (i % 50 === 49) await nc.flush();
      }
    };
    await publishAll();
    fuzz.on = false;
    expect(await squares).to.be.at.least(100);
    expect(await calls).to.be.at.least(100);
    expect(answers, "answers to join requests").to.be.greaterThan(0);

    expect(agents.every(isRunning), "the agents live").to.equal(true);
    expect((await get(tally.where.remote())).pid).to.equal(actor.pid);
    expect((await nodes()).map(({ node, state }) => [node, state])).to.have.deep.members([
      [left.node, "ALIVE"],
      [right.node, "ALIVE"],
    ]);
    expect((await get(where.remote())).pid).to.be.greaterThan(0);
    const names = new Set(
      (await get(Array.from({ length: 8 }, () => where.remote()))).map(({ node }) => node),
    );
    for (const name of names) expect(name).to.be.oneOf([left.node, right.node]);
    await eventually(async () => (await availableResources())["CPU"] === 4, "all CPUs are free again");
    agents.forEach((pid, i) => {
      expect(megabytes(pid) - (before[i] ?? 0), `megabytes that agent ${pid} grew by`).to.be.below(200);
    });
    for (const { command } of cluster.started)
      expect(command.stderr).to.match(/\d+ message\(s\) could not be understood and were refused/);
    expect(cluster.started.map(({ command }) => command.stderr).join("")).not.to.match(
      /could not handle|threw/,
    );
  });

  describe("sent by somebody", () => {
    const self = "d00000000fuzz" as ProcessId;
    const Kind = { Data: 0, Reset: 4, Refused: 6 };
    const encoder = new Encoder({ useRecords: false, tagUint8Array: false });
    const decoder = new Decoder({ useRecords: false, mapsAsObjects: true });
    const header = (to: string, version: number, kind: number): unknown[] => [
      ...[version, kind, self, to, 0, 1, 0, 0, 1, 0],
      ...[self, null],
    ];
    const send = (to: ProcessId, ...items: unknown[]): void =>
      nc.publish(
        subjects.process(to),
        Buffer.concat(items.map((item) => Uint8Array.from(encoder.encode(item)))),
      );
    const told: { kind: number; code: string; message: string }[] = [];
    const hears = (kind: number, text: RegExp): Promise<unknown> =>
      eventually(() => told.some((t) => t.kind === kind && text.test(t.message)), `it hears ${text.source}`);
    let inbox: Subscription;
    beforeEach(() => {
      told.length = 0;
      inbox = nc.subscribe(subjects.process(self), {
        callback: (_, { data }) => {
          const items = decoder.decodeMultiple(data) as unknown as unknown[];
          const [head, error] = items as [number[], { code: string; message: string } | undefined];
          if (typeof error === "object" && "code" in error)
            told.push({ kind: head[1] ?? -1, code: error.code, message: error.message });
        },
      });
    });
    afterEach(async () => {
      inbox.unsubscribe();
      expect(await get(square.remote(5, 0))).to.equal(25);
    });

    it("is answered with what was wrong with it", async () => {
      const agent = (await nodes())[0]?.agent as ProcessId;
      send(agent, header(agent, PROTOCOL_VERSION + 8, Kind.Data), [1, 2]);
      await hears(
        Kind.Refused,
        /speaks version 9 of the protocol.*run the same release of stingray everywhere/,
      );
      send(agent, header(agent, PROTOCOL_VERSION, 77));
      await hears(Kind.Refused, /kind must be a whole number from 0 to 7/);
      send(agent, header(agent, PROTOCOL_VERSION, Kind.Data), [50, "not a job"]);
      await hears(Kind.Refused, /message 50/);
      expect(told.every(({ code }) => code === "PROTOCOL")).to.equal(true);
    });

    it("in the name of a worker, to close its channel, costs an attempt and no more", async () => {
      const { id, owner } = await get(identity.remote());
      const streams: number[] = [];
      const watch = nc.subscribe(subjects.process(id as ProcessId), {
        callback: (_, { data }) => {
          const [head] = decoder.decodeMultiple(data) as unknown as unknown[][];
          if (head?.[2] === owner) streams.push(Number(head[8]));
        },
      });
      await eventually(
        async () => (await get(identity.remote())).id === id && streams.length > 0,
        "it is seen",
      );
      watch.unsubscribe();
      const running = [rest.remote(300), rest.remote(300)];
      const head = [PROTOCOL_VERSION, Kind.Reset, id, owner, 0, 0, 0, 0, 0, streams.at(-1)];
      send(owner as ProcessId, head, { code: "CONNECTION", message: "there is no such channel" });
      await get(running);
      await eventually(async () => (await availableResources())["CPU"] === 4, "all CPUs are free again");
    });

    it("closes nobody's channel where it was meant for another process", async () => {
      const [left, right] = (await nodes()).map(({ agent }) => agent as ProcessId);
      if (left === undefined || right === undefined) throw new Error("two nodes are needed");
      const frames: Uint8Array[] = [];
      const resets: Uint8Array[] = [];
      const { owner } = await get(identity.remote());
      const watches = [left, right].map((agent) =>
        nc.subscribe(subjects.process(agent), {
          callback: (_, { data }) => void frames.push(Uint8Array.from(data)),
        }),
      );
      watches.push(
        nc.subscribe(subjects.process(owner as ProcessId), {
          callback: (_, { data }) => void (data[2] === Kind.Reset && resets.push(data)),
        }),
      );
      await eventually(async () => {
        await get(square.remote(1, 0));
        await nodes();
        return frames.length >= 10;
      }, "frames of real processes are seen");
      for (const frame of frames.slice(0, 10))
        for (const agent of [left, right]) nc.publish(subjects.process(agent), frame);
      // What comes after them shows that they were taken in.
      for (const agent of [left, right]) {
        send(agent, header(agent, PROTOCOL_VERSION + 8, Kind.Data));
        await hears(Kind.Refused, /speaks version 9/);
        told.length = 0;
      }
      await nc.flush();
      for (const watch of watches) watch.unsubscribe();
      expect(resets).to.have.length(0);
    });
  });
});
