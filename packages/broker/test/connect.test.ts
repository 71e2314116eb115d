import { expect } from "chai";
import type { NatsConnection } from "@nats-io/transport-node";
import { AuthError, ConnectionError, InvalidOptionError } from "@stingray/protocol";
import { eventually } from "@stingray/protocol/testing";
import {
  connectBroker,
  isAtLeast,
  requireJetStream,
  serverVersion,
  supports,
  watchConnection,
  type BrokerEvent,
} from "../src/connect/mod.js";
import { EmbeddedBroker } from "../src/server/mod.js";
import { Cleanup, failureOf } from "./server-tools.js";

describe("connecting to the broker", function () {
  this.timeout(20_000);
  const cleanup = new Cleanup();
  let broker: EmbeddedBroker;
  before(async () => {
    broker = await EmbeddedBroker.start();
  });
  after(() => broker.stop());
  afterEach(() => cleanup.run());

  async function connected(options = broker.options): Promise<NatsConnection> {
    const nc = await connectBroker(options);
    cleanup.add(() => nc.close());
    return nc;
  }

  it("connects with the credentials of the options, or of the address", async () => {
    const nc = await connected();
    await nc.flush();
    const token = broker.options.auth && "token" in broker.options.auth ? broker.options.auth.token : "";
    const other = await connected({ servers: [broker.url.replace("//", `//${token}@`)] });
    await other.flush();
    expect(isAtLeast(serverVersion(nc), "2.9.10")).to.equal(true);
  });

  describe("says what is wrong", () => {
    it("where nothing listens", async () => {
      const address = await cleanup.tcp(() => undefined);
      await cleanup.run(); // now the port is free
      const error = await failureOf(connectBroker({ servers: [`nats://${address}`] }));
      expect(error).to.be.instanceOf(ConnectionError);
      expect(error).to.have.property("message").that.contains(address).and.contains("ECONNREFUSED");
    });

    it("where a name is unknown", async () => {
      const error = await failureOf(
        connectBroker({ servers: ["nats://no-such-host.invalid"], timeoutMs: 3000 }),
      );
      expect(error).to.be.instanceOf(ConnectionError);
      expect(error).to.have.property("message").that.contains("nats://no-such-host.invalid:4222");
    });

    it("where something listens that says nothing, within the time given", async () => {
      const address = await cleanup.tcp(() => undefined);
      const started = Date.now();
      const error = await failureOf(connectBroker({ servers: [`nats://${address}`], timeoutMs: 300 }));
      expect(error).to.be.instanceOf(ConnectionError);
      expect(error).to.have.property("message").that.contains("says nothing");
      expect(Date.now() - started).to.be.below(3000);
    });

    it("where something else than NATS answers", async () => {
      const address = await cleanup.tcp((socket) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n"));
      const error = await failureOf(connectBroker({ servers: [`nats://${address}`], timeoutMs: 1000 }));
      expect(error).to.be.instanceOf(ConnectionError);
      expect(error).to.have.property("message").that.contains("does not speak NATS");
    });

    it("where the credentials are wrong or missing, without telling them", async () => {
      const { servers } = broker.options;
      for (const auth of [undefined, { token: "wrong-one" }, { user: "u", password: "wrong-one" }]) {
        const error = await failureOf(connectBroker({ servers, auth }));
        expect(error).to.be.instanceOf(AuthError);
        expect(error).to.have.property("message").that.contains(broker.url).and.does.not.contain("wrong-one");
      }
    });

    it("where the server is too old, naming both versions", async () => {
      const info = {
        server_id: "x",
        version: "2.8.4",
        go: "go1",
        host: "h",
        headers: true,
        max_payload: 1048576,
      };
      const address = await cleanup.tcp((socket) => {
        socket.write(`INFO ${JSON.stringify(info)}\r\n`);
        socket.on("data", (data) => data.includes("PING") && socket.write("PONG\r\n"));
      });
      const error = await failureOf(connectBroker({ servers: [address] }));
      expect(error).to.be.instanceOf(ConnectionError);
      expect(error).to.have.property("message").that.contains("2.8.4").and.contains("2.9.10");
    });

    it("where the options are no good", async () => {
      for (const options of [
        { servers: [] },
        { servers: ["http://127.0.0.1"] },
        { servers: ["nats://127.0.0.1"], auth: { credsFile: "/no/such.creds" } },
        { servers: ["nats://127.0.0.1"], tls: { caFile: "/no/such.pem" } },
        { servers: ["nats://127.0.0.1"], tls: { certFile: "/no/such.pem" } },
      ]) {
        expect(await failureOf(connectBroker(options))).to.be.instanceOf(InvalidOptionError);
      }
    });
  });

  it("comes back after a restart of the broker and tells of it", async () => {
    const own = cleanup.use(await EmbeddedBroker.start());
    const nc = await connected(own.options);
    const events: BrokerEvent["type"][] = [];
    watchConnection(nc, (event) => events.push(event.type));
    let received = 0;
    nc.subscribe("greeting", { callback: () => void received++ });
    await own.restart();
    await eventually(() => events.includes("reconnected"), "the connection is back");
    nc.publish("greeting");
    await eventually(() => received === 1, "the subscription is back");
    await nc.close();
    await eventually(() => events.includes("closed"), "the end is told");
    expect(events).to.deep.equal(["disconnected", "reconnected", "closed"]);
  });

  it("finds out that a broker is stopped, also while much is unsent", async () => {
    const own = cleanup.use(await EmbeddedBroker.start());
    const nc = await connected({ ...own.options, pingIntervalMs: 100 });
    const events: BrokerEvent["type"][] = [];
    watchConnection(nc, (event) => events.push(event.type));
    await own.kill("SIGSTOP");
    const chunk = new Uint8Array(1 << 20);
    for (let i = 0; i < 32; i++) nc.publish("bulk", chunk);
    await eventually(() => events.includes("disconnected"), {
      message: "the silence is noticed",
      timeoutMs: 3000,
    });
    await own.kill("SIGCONT");
    await eventually(() => events.includes("reconnected"), "the connection is back");
  });

  it("keeps trying when the credentials are refused for a while", async () => {
    const own = cleanup.use(await EmbeddedBroker.start());
    const nc = await connected(own.options);
    const events: BrokerEvent["type"][] = [];
    watchConnection(nc, (event) => events.push(event.type));
    const port = Number(new URL(own.url).port);
    await own.stop();
    const stranger = await EmbeddedBroker.start({ port });
    await eventually(() => events.includes("refused"), "the refusal");
    await stranger.stop();
    const { auth } = own.options;
    const token = auth && "token" in auth ? auth.token : "";
    cleanup.use(await EmbeddedBroker.start({ port, token }));
    await eventually(() => events.includes("reconnected"), "the connection is back");
  });
});

describe("JetStream", function () {
  this.timeout(20_000);
  const cleanup = new Cleanup();
  afterEach(() => cleanup.run());

  async function connectedTo(jetstream: boolean): Promise<NatsConnection> {
    const broker = cleanup.use(await EmbeddedBroker.start({ jetstream }));
    const nc = await connectBroker(broker.options);
    cleanup.add(() => nc.close());
    return nc;
  }

  it("is there", async () => {
    await requireJetStream(await connectedTo(true));
  });

  it("is missed at once, with what to do", async () => {
    const error = await failureOf(requireJetStream(await connectedTo(false)));
    expect(error).to.be.instanceOf(ConnectionError);
    expect(error).to.have.property("message").that.contains("has no JetStream").and.contains("-js");
  });
});

describe("features by server version", () => {
  const at = (version: string): NatsConnection => ({ info: { version } }) as NatsConnection;
  it("are known for the oldest and for newer servers", () => {
    expect(supports(at("2.9.10"), "kv")).to.equal(true);
    expect(supports(at("2.9.10"), "perKeyTtl")).to.equal(false);
    expect(supports(at("2.11.0"), "perKeyTtl")).to.equal(true);
    expect(supports(at("2.12.0-RC.1"), "batchPublish")).to.equal(true);
    expect(supports(at("2.15.2"), "repeatedSchedules")).to.equal(true);
  });
  it("compare numbers, not text, and take nothing for granted", () => {
    expect(isAtLeast("2.10.0", "2.9.10")).to.equal(true);
    expect(isAtLeast("v3.0.0", "2.9.10")).to.equal(true);
    expect(isAtLeast("2.9.9", "2.9.10")).to.equal(false);
    expect(isAtLeast("unknown", "2.9.10")).to.equal(false);
  });
});
