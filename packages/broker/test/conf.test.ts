import { expect } from "chai";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { jetstreamManager } from "@nats-io/jetstream";
import { Kvm } from "@nats-io/kv";
import type { NatsConnection } from "@nats-io/transport-node";
import { AuthError, ConnectionError } from "@stingray/protocol";
import { eventually } from "@stingray/protocol/testing";
import {
  connectBroker,
  isAtLeast,
  requireJetStream,
  serverVersion,
  watchConnection,
} from "../src/connect/mod.js";
import { startServer, type RunningServer } from "../src/server/mod.js";
import { makeCertificates, type Certificates } from "./server-certificates.js";
import { Cleanup, ROOT, failureOf, freePorts } from "./server-tools.js";

type Role = "node" | "driver" | "observer";
const PASSWORDS: Record<Role, string> = { node: "n-secret", driver: "d-secret", observer: "o-secret" };

function environment(storeDir: string): Record<string, string> {
  return {
    STINGRAY_NODE_PASSWORD: PASSWORDS.node,
    STINGRAY_DRIVER_PASSWORD: PASSWORDS.driver,
    STINGRAY_OBSERVER_PASSWORD: PASSWORDS.observer,
    NATS_STORE_DIR: storeDir,
    NATS_MAX_MEMORY: "64MB",
    NATS_MAX_FILE: "256MB",
  };
}

describe("nats-server.conf", function () {
  this.timeout(20_000);
  const perTest = new Cleanup();
  const shared = new Cleanup();
  let server: RunningServer;
  before(async () => {
    server = shared.use(
      await startServer({
        config: join(ROOT, "nats-server.conf"),
        args: ["--addr", "127.0.0.1", "--port", "-1"],
        env: environment(await shared.dir()),
      }),
    );
  });
  after(() => shared.run());
  afterEach(() => perTest.run());

  async function as(role: Role): Promise<{ nc: NatsConnection; denied: string[] }> {
    const nc = await connectBroker({
      servers: [server.url],
      auth: { user: role, password: PASSWORDS[role] },
      name: role,
    });
    perTest.add(() => nc.close());
    const denied: string[] = [];
    watchConnection(nc, (event) => {
      if (event.type === "denied") denied.push(`${event.operation} ${event.subject}`);
    });
    return { nc, denied };
  }

  /** What of these the server refuses. */
  async function refused(role: Role, what: { publish?: string[]; subscribe?: string[] }): Promise<string[]> {
    const { nc, denied } = await as(role);
    for (const subject of what.publish ?? []) nc.publish(subject);
    for (const subject of what.subscribe ?? []) nc.subscribe(subject, { callback: () => undefined });
    // Refusals come in order, before the answer to the ping of a flush.
    await nc.flush();
    await eventually(() => nc.getServer() !== "", "the events are told");
    await nc.flush();
    return denied.sort();
  }

  it("lets nobody in without a password", async () => {
    expect(await failureOf(connectBroker({ servers: [server.url] }))).to.be.instanceOf(AuthError);
  });

  it("gives nodes all planes and their tables", async () => {
    const { nc, denied } = await as("node");
    await requireJetStream(nc);
    const kv = await new Kvm(nc).create("st_v1_default_nodes", { history: 1 });
    const revision = await kv.create("a", "1");
    await kv.update("a", "2", revision);
    expect((await kv.get("a"))?.string()).to.equal("2");
    const watch = await kv.watch();
    for await (const entry of watch) {
      expect(entry.string()).to.equal("2");
      break;
    }
    await kv.delete("a");
    await kv.purge("a");
    await kv.destroy();
    for (const plane of ["p.x", "a.x", "r.x.y", "s.cpu", "n.x", "o.x", "feed.heartbeat.x"]) {
      nc.subscribe(`st.v1.default.${plane}`, { callback: () => undefined });
      nc.publish(`st.v1.default.${plane}`);
    }
    await nc.flush();
    expect(denied).to.deep.equal([]);
  });

  it("keeps nodes away from what is not Stingray's", async () => {
    expect(
      await refused("node", {
        publish: ["other", "$JS.API.STREAM.SNAPSHOT.KV_st_v1_default_nodes"],
        subscribe: ["other", ">"],
      }),
    ).to.deep.equal([
      "publish $JS.API.STREAM.SNAPSHOT.KV_st_v1_default_nodes",
      "publish other",
      "subscription >",
      "subscription other",
    ]);
  });

  it("lets drivers talk to processes, actors, the feed, and to whoever takes them in", async () => {
    const planes = ["p.x", "a.x", "r.x.y", "s.driver", "feed.event.x"];
    expect(
      await refused("driver", {
        publish: planes.map((plane) => `st.v1.default.${plane}`),
        subscribe: ["st.v1.default.p.x", "st.v1.default.r.x.*", "st.v1.default.feed.log.x", "_INBOX.x"],
      }),
    ).to.deep.equal([]);
  });

  it("keeps drivers out of what agents ask each other", async () => {
    const planes = ["s.cpu", "d.cpu", "n.x", "n.x.r.1"];
    expect(
      await refused("driver", {
        publish: planes.map((plane) => `st.v1.default.${plane}`),
        subscribe: ["st.v1.default.s.cpu"],
      }),
    ).to.deep.equal([
      ...planes.map((plane) => `publish st.v1.default.${plane}`).toSorted(),
      "subscription st.v1.default.s.cpu",
    ]);
  });

  it("keeps drivers from JetStream, and from the calls of others", async () => {
    expect(
      await refused("driver", {
        publish: [
          "$JS.API.INFO",
          "$KV.st_v1_default_nodes.x",
          "st.v1.default.o.x",
          "st.v1.default.feed.heartbeat.x",
        ],
        subscribe: ["st.v1.default.a.x", "st.v1.default.s.cpu", "st.v1.default.n.x", "st.v1.>"],
      }),
    ).to.have.length(8);
    const { nc } = await as("driver");
    expect(await failureOf(requireJetStream(nc))).to.be.instanceOf(AuthError);
  });

  it("lets observers see the feed and nothing else", async () => {
    const { nc: node } = await as("node");
    const { nc, denied } = await as("observer");
    const seen: string[] = [];
    nc.subscribe("st.v1.*.feed.>", { callback: (_error, message) => void seen.push(message.subject) });
    await nc.flush();
    node.publish("st.v1.default.feed.event.x");
    await eventually(() => seen.length === 1, "the event is seen");
    expect(denied).to.deep.equal([]);
    expect(
      await refused("observer", {
        publish: ["st.v1.default.feed.event.x", "st.v1.default.p.x", "$JS.API.INFO"],
        subscribe: ["st.v1.default.p.x", "_INBOX.>"],
      }),
    ).to.have.length(5);
  });

  it("can be told to flush every write, with a server that knows how", async function () {
    const nc = (await as("node")).nc;
    if (!isAtLeast(serverVersion(nc), "2.10.0")) return this.skip();
    const config = join(await perTest.dir(), "nats-server.conf");
    const text = await readFile(join(ROOT, "nats-server.conf"), "utf8");
    expect(text).to.contain("# sync_interval: always");
    await writeFile(config, text.replace("# sync_interval: always", "sync_interval: always"));
    const args = ["--addr", "127.0.0.1", "--port", "-1"];
    perTest.use(await startServer({ config, args, env: environment(await perTest.dir()) }));
  });

  it("is refused, with the name, where a variable is missing", async () => {
    const error = await failureOf(startServer({ config: join(ROOT, "nats-server.conf") }));
    expect(error).to.be.instanceOf(ConnectionError);
    expect(error).to.have.property("message").that.contains("NATS_STORE_DIR");
  });
});

describe("conf/cluster.conf", function () {
  this.timeout(30_000);
  const cleanup = new Cleanup();
  let certificates: Certificates;
  const servers: RunningServer[] = [];

  before(async () => {
    const dir = await cleanup.dir();
    certificates = makeCertificates(dir);
    // The servers must know how many they are before they elect a leader, so the ports of routes can't be left to them.
    const ports = await freePorts(3);
    const routes = JSON.stringify(ports.map((port) => `nats://localhost:${port}`));
    const start = (port: number, index: number): Promise<RunningServer> =>
      startServer({
        config: join(ROOT, "conf/cluster.conf"),
        args: ["--addr", "127.0.0.1", "--port", "-1"],
        env: {
          ...environment(join(dir, `store-${index}`)),
          NATS_TLS_CERT: certificates.cert,
          NATS_TLS_KEY: certificates.key,
          NATS_TLS_CA: certificates.ca,
          NATS_TLS_VERIFY_CLIENTS: "false",
          NATS_SERVER_NAME: `broker-${index}`,
          NATS_CLUSTER_LISTEN: `127.0.0.1:${port}`,
          NATS_ROUTES: routes,
        },
      });
    for (const server of await Promise.all(ports.map(start))) servers.push(cleanup.use(server));
  });
  after(() => cleanup.run());

  function addresses(): string[] {
    return servers.map(({ url }) => `tls://localhost:${new URL(url).port}`);
  }

  it("makes a cluster of three that keeps three copies, with TLS for clients and servers", async () => {
    const nc = await connectBroker({
      servers: addresses(),
      auth: { user: "node", password: PASSWORDS.node },
      tls: { caFile: certificates.ca },
    });
    cleanup.add(() => nc.close());
    await requireJetStream(nc, { timeoutMs: 15_000 });
    // The leader is elected before it knows of all three.
    const create = async (): Promise<boolean> => {
      try {
        await new Kvm(nc).create("st_v1_default_nodes", { replicas: 3 });
        return true;
      } catch {
        return false;
      }
    };
    await eventually(create, { message: "a stream with three replicas", timeoutMs: 15_000 });
    const manager = await jetstreamManager(nc);
    const info = await manager.streams.info("KV_st_v1_default_nodes");
    expect(info.cluster?.replicas).to.have.length(2);
    const kv = await new Kvm(nc).open("st_v1_default_nodes");
    await kv.put("a", "kept");
    expect((await kv.get("a"))?.string()).to.equal("kept");
  });

  it("is not trusted without its CA, and says so", async () => {
    const auth = { user: "node", password: PASSWORDS.node };
    const other = makeCertificates(await cleanup.dir(), "other");
    const live = [addresses()[2] as string, addresses()[1] as string, addresses()[0] as string];
    for (const tls of [undefined, { caFile: other.ca }]) {
      const error = await failureOf(connectBroker({ servers: live, auth, tls }));
      expect(error).to.be.instanceOf(ConnectionError);
      expect(error).to.have.property("message").that.contains("TLS");
    }
  });
});

describe("conf/tls.conf", function () {
  this.timeout(20_000);
  const cleanup = new Cleanup();
  afterEach(() => cleanup.run());

  it("can ask clients for a certificate", async () => {
    const dir = await cleanup.dir();
    const { ca, cert, key } = makeCertificates(dir);
    const server = cleanup.use(
      await startServer({
        config: join(ROOT, "conf/tls.conf"),
        args: ["--addr", "127.0.0.1", "--port", "-1"],
        env: {
          ...environment(dir),
          NATS_TLS_CERT: cert,
          NATS_TLS_KEY: key,
          NATS_TLS_CA: ca,
          NATS_TLS_VERIFY_CLIENTS: "true",
        },
      }),
    );
    const address = `tls://localhost:${new URL(server.url).port}`;
    const auth = { user: "node", password: PASSWORDS.node };
    const error = await failureOf(
      connectBroker({ servers: [address], auth, tls: { caFile: ca }, timeoutMs: 1000 }),
    );
    expect(error).to.be.instanceOf(AuthError);
    expect(error).to.have.property("message").that.contains("certificate");
    const nc = await connectBroker({
      servers: [address],
      auth,
      tls: { caFile: ca, certFile: cert, keyFile: key },
    });
    await nc.flush();
    await nc.close();
  });
});
