import { connect } from "node:net";
import { chmod, mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { NatsConnection } from "@nats-io/nats-core";
import { AuthError, ConnectionError, InvalidOptionError, newWorkerId } from "@stingray/protocol";
import type { StingrayError } from "@stingray/protocol";
import { eventually } from "@stingray/protocol/testing";
import { expect } from "chai";
import type { Channel, Transport } from "../src/mod.js";
import {
  anything,
  COUNT,
  echo,
  failure,
  pause,
  randomFrom,
  TestBroker,
  World,
} from "./fixtures/rpc-world.js";

/** A connection whose messages get lost, come twice, or come late, as `random` has it. */
function unreliable(random: () => number, faults: { lose: number; twice: number; late: number }) {
  return (connection: NatsConnection): NatsConnection => {
    const publish: NatsConnection["publish"] = (...args) => {
      if (random() < faults.lose) return;
      const again = random() < faults.twice;
      if (random() < faults.late)
        setTimeout(() => connection.isClosed() || connection.publish(...args), random() * 15);
      else connection.publish(...args);
      if (again) connection.publish(...args);
    };
    return new Proxy(connection, {
      get: (target, name) => {
        if (name === "publish") return publish;
        const value: unknown = Reflect.get(target, name);
        return typeof value === "function" ? (value.bind(target) as unknown) : value;
      },
    });
  };
}

/** Sends numbered messages both ways, in bursts, and checks that each end gets those of the other in order and once. */
class Traffic {
  private readonly got: [number[], number[]] = [[], []];
  private readonly sent: [number, number] = [0, 0];
  private readonly wrong: string[] = [];

  constructor(
    private readonly random: () => number,
    private readonly channels: [Channel, Channel],
    ends: [Transport, Transport],
  ) {
    ends.forEach((end, side) => {
      const got = this.got[side as 0 | 1];
      end.inbox.on(COUNT, anything as () => [number, number, Uint8Array], ([, n, bytes]) => {
        if (n !== got.length) this.wrong.push(`end ${side} got ${n} in place of ${got.length}`);
        if (bytes.some((byte) => byte !== (n & 0xff))) this.wrong.push(`message ${n} has other bytes`);
        got.push(n);
      });
    });
  }

  burst(): void {
    for (const side of [0, 1] as const) {
      const count = Math.floor(this.random() ** 2 * 60);
      for (let i = 0; i < count; i++) {
        const n = this.sent[side]++;
        const size = this.random() < 0.01 ? 400_000 : Math.floor(this.random() * 200);
        this.channels[side].send([COUNT, n, new Uint8Array(size).fill(n & 0xff)]);
      }
    }
  }

  async settled(): Promise<void> {
    const all = (): boolean => this.got[0].length >= this.sent[1] && this.got[1].length >= this.sent[0];
    await eventually(() => all() || this.wrong.length > 0, {
      message: "everything sent has come",
      timeoutMs: 12_000,
    });
    await pause(30); // what would come twice, would come now
    expect(this.wrong).deep.equals([]);
    expect([this.got[0].length, this.got[1].length]).deep.equals([this.sent[1], this.sent[0]]);
    expect(this.channels.map(({ closed }) => closed)).deep.equals([undefined, undefined]);
  }
}

async function between(a: Transport, b: Transport): Promise<[Channel, Channel]> {
  a.inbox.serve(echo, (ask) => ask);
  b.inbox.serve(echo, (ask) => ask);
  const channel = a.inbox.channel({ endpoint: b.process, node: b.node! });
  await channel.request(echo, 1);
  return [channel, b.inbox.channel({ endpoint: a.process, node: a.node! })];
}

describe("RPC under faults", function () {
  this.timeout(20_000);
  let broker: TestBroker;
  let world: World;
  before(async () => {
    broker = await TestBroker.start();
  });
  after(() => broker.down());
  afterEach(() => world.end());

  for (const seed of [1, 2, 3])
    it(`keeps order and delivers once over a broker that loses, repeats and delays (seed ${seed})`, async () => {
      world = await World.make("nats", broker);
      const random = randomFrom(seed);
      const bad = unreliable(random, { lose: 0.05, twice: 0.05, late: 0.1 });
      const limits = { stallMs: 60, windowBytes: seed === 3 ? 400_000 : 32 << 20 };
      const [a, b] = [await world.transport({ limits }, bad), await world.transport({ limits }, bad)];
      const traffic = new Traffic(random, await between(a, b), [a, b]);
      for (let i = 0; i < 100; i++) {
        traffic.burst();
        await pause(random() * 5);
      }
      await traffic.settled();
      expect(a.stats().resent + b.stats().resent).greaterThan(0);
      expect(a.stats().duplicates + b.stats().duplicates).greaterThan(0);
    });

  for (const links of ["socket", "both"] as const)
    it(`keeps order and delivers once while sockets break (${links}), and goes back to a socket`, async () => {
      world = await World.make(links, links === "both" ? broker : undefined);
      const random = randomFrom(links.length);
      const [a, b] = [await world.transport(), await world.transport()];
      const channels = await between(a, b);
      const traffic = new Traffic(random, channels, [a, b]);
      for (let i = 0; i < 150; i++) {
        traffic.burst();
        if (random() < 0.2) (random() < 0.5 ? a : b).breakSockets();
        await pause(random() * 5);
      }
      await traffic.settled();
      await channels[0].request(echo, 1);
      await eventually(() => {
        channels[0].send([COUNT + 1]);
        return channels[0].link === "socket" && a.stats().sockets === 1;
      }, "there is a socket again");
    });

  it("loses and repeats nothing over restarts of the broker, and declares nobody dead while it is away", async () => {
    world = await World.make("nats", broker);
    const random = randomFrom(5);
    const [a, b] = [await world.transport(), await world.transport()];
    const traffic = new Traffic(random, await between(a, b), [a, b]);
    for (const away of [0, 900]) {
      for (let i = 0; i < 40; i++) {
        traffic.burst();
        if (i === 20) {
          await broker.down();
          for (let k = 0; k < 10; k++) {
            traffic.burst();
            await pause(away / 10);
          }
          await broker.up();
        }
        await pause(random() * 4);
      }
      await traffic.settled();
    }
  });

  for (const links of ["socket", "both", "nats"] as const)
    it(`closes soon after the peer was killed, also where nothing is on the way (${links})`, async () => {
      world = await World.make(links, links === "socket" ? undefined : broker);
      const a = await world.transport();
      const { id, process } = await world.child();
      const channel = a.inbox.channel({ endpoint: id, node: world.node });
      await channel.request(echo, 1);
      const waiting = failure(channel.request({ ...echo, name: "test.never" }, 1, { timeoutMs: 60_000 }));
      await pause(50); // until that request is acknowledged
      process.kill("SIGKILL");
      const killed = performance.now();
      if (links === "nats") {
        await eventually(() => process.signalCode !== null, "it is dead");
        channel.send([COUNT]); // over the broker only a message shows that nobody is there
      }
      const error = (await waiting) as StingrayError;
      expect(error).instanceOf(ConnectionError).and.equals(channel.closed);
      expect(error.detail).deep.include({ reason: "gone" });
      expect(performance.now() - killed).lessThan(1_500);
      await eventually(() => a.stats().channels === 0 && a.stats().sockets === 0, "nothing is left of it");
    });

  it("waits for a peer that is stopped, and delivers when it goes on", async () => {
    world = await World.make("both", broker);
    const a = await world.transport();
    const { id, process } = await world.child();
    const channel = a.inbox.channel({ endpoint: id, node: world.node });
    await channel.request(echo, 1);
    const back: number[] = [];
    a.inbox.on(COUNT, anything as () => number[], ([, n]) => back.push(n!));
    process.kill("SIGSTOP");
    for (let i = 0; i < 500; i++) {
      channel.send([COUNT, i]);
      if (i % 100 === 0) await pause(200);
    }
    expect(channel.closed).equals(undefined);
    process.kill("SIGCONT");
    await eventually(() => back.length >= 500, "all came back");
    expect(back).deep.equals(Array.from({ length: 500 }, (_, i) => i));
  });

  it("closes every channel to a process that is said to be dead, with that reason", async () => {
    world = await World.make("both", broker);
    const [a, b] = [await world.transport(), await world.transport()];
    const [channel] = await between(a, b);
    const reason = new ConnectionError("its agent saw it end");
    a.peerDied(b.process, reason);
    expect(channel.closed).equals(reason);
    expect(await failure(channel.request(echo, 1))).equals(reason);
  });

  it("takes the broker where the secret is not shared, and counts the attempt", async () => {
    world = await World.make("both", broker);
    const [a, b] = [await world.transport(), await world.transport({ secret: "another" })];
    const [channel] = await between(a, b);
    expect(channel.link).equals("nats");
    expect(a.stats().unproven + b.stats().unproven).greaterThan(0);
    expect([a.stats().sockets, b.stats().sockets]).deep.equals([0, 0]);
  });

  it("fails with the reason where nothing leads to the peer, unless a broker comes in time", async () => {
    world = await World.make("both", broker);
    const quiet = { socketDir: undefined, limits: { attachMs: 300 } };
    const a = await world.transport(quiet);
    const b = await world.transport(quiet);
    const elsewhere = await World.make("socket");
    const alone = await elsewhere.transport({ ...quiet, subjects: world.subjects });
    const lost = alone.inbox.channel({ endpoint: a.process });
    const error = (await failure(lost.request(echo, 1))) as StingrayError;
    expect(error).instanceOf(ConnectionError);
    expect(error.detail).deep.include({ reason: "no broker" });
    b.inbox.serve(echo, (ask) => ask);
    const later = alone.inbox.channel({ endpoint: b.process }).request(echo, "in time");
    await pause(50);
    alone.attachBroker(await world.connect());
    expect(await later).equals("in time");
    await elsewhere.end();
  });

  it("survives garbage on its socket and on its subject", async () => {
    world = await World.make("both", broker);
    const [a, b] = [await world.transport(), await world.transport()];
    const [channel] = await between(a, b);
    const random = randomFrom(9);
    const noise = (size: number): Buffer =>
      Buffer.from(Array.from({ length: size }, () => Math.floor(random() * 256)));
    for (let i = 0; i < 30; i++) {
      const socket = connect(join(world.dir, "s", `${b.process}.sock`));
      socket.on("error", () => {});
      const closed = new Promise((resolve) => socket.once("close", resolve));
      socket.end(noise(1 + Math.floor(random() * 300)));
      await closed;
    }
    const connection = await world.connect();
    const subject = world.subjects.process(b.process);
    let sample: Uint8Array | undefined;
    const listener = connection.subscribe(subject, { callback: (_, { data }) => void (sample ??= data) });
    await connection.flush();
    const c = await world.transport({ links: "nats" });
    const victim = c.inbox.channel({ endpoint: b.process });
    await victim.request(echo, 1);
    for (let i = 0; i < 300; i++) connection.publish(subject, noise(Math.floor(random() * 200)));
    const whole = Buffer.from(sample ?? []);
    expect(whole.length).greaterThan(100);
    for (let i = 0; i < 500; i++) {
      const bytes = Buffer.from(whole);
      for (let k = 0; k < 3; k++) bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256);
      connection.publish(
        subject,
        bytes.subarray(0, random() < 0.3 ? Math.floor(random() * bytes.length) : bytes.length),
      );
    }
    connection.publish(subject, Buffer.from("8a02", "hex"));
    await connection.flush();
    listener.unsubscribe();
    await eventually(() => b.stats().malformed >= 300, "it was counted");
    expect(world.handlerErrors).deep.equals([]);
    expect(await channel.request(echo, "well")).equals("well");
  });

  it("refuses a directory that others can enter, and one whose name is too long", async () => {
    world = await World.make("socket");
    const open = join(world.dir, "open");
    await mkdir(open);
    await chmod(open, 0o755);
    expect(await failure(world.transport({ socketDir: open }))).instanceOf(AuthError);
    expect(await failure(world.transport({ socketDir: join(world.dir, "x".repeat(100)) }))).instanceOf(
      InvalidOptionError,
    );
    const peer = await world.transport({ process: newWorkerId() });
    expect(peer.stats().channels).equals(0);
  });
});
