/** Brokers that are not there, refuse, are too old or lack what is needed: programs and the command say which and what to do. */
import { writeFileSync } from "node:fs";
import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { startServer, type RunningServer } from "@stingray/broker/server";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { PROTOCOL_VERSION, Subjects } from "@stingray/protocol";
import { Decoder, Encoder } from "cbor-x";
import { expect } from "chai";
import {
  AuthError,
  ConnectionError,
  ErrorCode,
  InvalidOptionError,
  ProtocolError,
  get,
  init,
  isInitialized,
  shutdown,
  type InitOptions,
} from "stingray";
import { square } from "./fixtures/bad-use-tasks.js";
import { refused, type ErrorOf } from "./support/bad-use.js";
import { ClusterByHand } from "./support/by-hand.js";
import { Sandbox } from "./support/sandbox.js";

const QUICKLY_MS = 8_000;

/** A port on which nobody listens. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  const { port } = server.address() as AddressInfo;
  await new Promise((closed) => server.close(closed));
  return port;
}

/** Something that listens and greets every client with this line; silent without one. */
class Pretender implements AsyncDisposable {
  private readonly sockets = new Set<Socket>();

  private constructor(private readonly server: Server) {}

  static async start(greeting: string): Promise<Pretender> {
    const pretender: Pretender = new Pretender(
      createServer((socket) => {
        pretender.sockets.add(socket);
        socket.on("error", () => {});
        socket.on("close", () => pretender.sockets.delete(socket));
        if (greeting !== "") socket.write(greeting);
        socket.on("data", (data) => {
          if (data.includes("PING")) socket.write("PONG\r\n");
        });
      }),
    );
    await new Promise<void>((listening) => pretender.server.listen(0, "127.0.0.1", listening));
    return pretender;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }
  get url(): string {
    return `nats://127.0.0.1:${this.port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    await new Promise((closed) => this.server.close(closed));
  }
}

const greeting = (version: string): string =>
  `INFO ${JSON.stringify({
    server_id: "PRETENDER",
    server_name: "pretender",
    version,
    proto: 1,
    host: "127.0.0.1",
    port: 4222,
    headers: true,
    max_payload: 1 << 20,
    client_id: 1,
  })}\r\n`;

describe("brokers that can't be used", function () {
  this.timeout(40_000);
  let sandbox: Sandbox;
  let leave: () => void;
  let secured: RunningServer;
  let plain: RunningServer;
  before(async () => {
    sandbox = new Sandbox();
    leave = sandbox.enter({});
    const config = (name: string, text: string): string => {
      const path = join(sandbox.directory, name);
      writeFileSync(path, `host: "127.0.0.1"\nport: -1\n${text}\n`);
      return path;
    };
    [secured, plain] = await Promise.all([
      startServer({
        config: config("secured.conf", "authorization { users = [{ user: ann, password: right }] }"),
      }),
      startServer({ config: config("plain.conf", "") }),
    ]);
  });
  after(async () => {
    await Promise.all([secured.stop(), plain.stop()]);
    await sandbox.nothingRemains();
    leave();
    await sandbox.end();
  });

  /** What a program and what the command say: the same. */
  async function bothRefuse(
    options: InitOptions,
    args: readonly string[],
    cls: ErrorOf,
    texts: readonly (string | RegExp)[],
  ): Promise<void> {
    await refused(init(options), cls, texts, QUICKLY_MS);
    expect(isInitialized()).to.equal(false);
    await commandRefuses(["start", "--cpus", "1", ...args], texts);
    await commandRefuses(["status", ...args], texts);
  }

  async function commandRefuses(
    args: readonly string[],
    texts: readonly (string | RegExp)[],
    env: Record<string, string> = {},
  ): Promise<void> {
    const started = performance.now();
    const command = sandbox.stingray(args, env);
    const { code } = await command.ended();
    expect(code, command.stderr).to.equal(1);
    for (const text of texts)
      if (typeof text === "string") expect(command.stderr).to.contain(text);
      else expect(command.stderr).to.match(text);
    expect(command.stderr, "a message and no stack").not.to.match(/\n\s+at /);
    expect(performance.now() - started).to.be.below(QUICKLY_MS + 2_000);
  }

  it("nobody listens at the address", async () => {
    const address = `nats://127.0.0.1:${await freePort()}`;
    const texts = [
      /no broker can be reached/,
      address,
      /ECONNREFUSED/,
      /Start nats-server there, or correct the address/,
    ];
    await bothRefuse({ address }, ["--address", address], ConnectionError, texts);
  });

  it("something else listens there, or says nothing", async () => {
    await using web = await Pretender.start("HTTP/1.1 400 Bad Request\r\n\r\n");
    await bothRefuse({ address: web.url }, ["--address", web.url], ConnectionError, [
      web.url,
      /does not speak NATS/,
    ]);
    await using silent = await Pretender.start("");
    await refused(init({ address: silent.url }), ConnectionError, [silent.url, /says nothing/], QUICKLY_MS);
  });

  it("an address that is none", async () => {
    for (const address of ["127.0.0.1:port", "http://127.0.0.1:4222", "nats://"])
      await refused(init({ address }), InvalidOptionError, [/address/, address], 1_000);
  });

  it("wrong credentials, missing ones, and ones of another kind", async () => {
    const address = secured.url;
    const fix = /check the auth option/;
    const wrongPassword = ["--address", address, "--user", "ann", "--password", "wrong"];
    await bothRefuse({ address, auth: { user: "ann", password: "wrong" } }, wrongPassword, AuthError, [
      /refused a password for user "ann"/,
      address,
      fix,
    ]);
    await refused(
      init({ address, auth: { token: "secret-token" } }),
      AuthError,
      [/refused a token/, fix],
      QUICKLY_MS,
    );
    const none = await refused(
      init({ address }),
      AuthError,
      [/wants credentials and got none/, fix],
      QUICKLY_MS,
    );
    expect(none.code).to.equal(ErrorCode.AuthError);
    for (const auth of [{ user: "ann", password: "wrong" }, { token: "secret-token" }] as const) {
      const error = await refused(init({ address, auth }), AuthError, []);
      expect(`${error.message} ${JSON.stringify(error.detail)}`).not.to.match(/wrong|secret-token/);
    }
  });

  it("a server without JetStream", async () => {
    await commandRefuses(
      ["start", "--cpus", "1", "--address", plain.url],
      [/has no JetStream/, plain.url.replace("nats://", ""), /-js/],
    );
    const texts = [/no node of the cluster "default" answers/, /stingray start --address/];
    await refused(init({ address: plain.url }), ConnectionError, texts, QUICKLY_MS);
    await commandRefuses(["status", "--address", plain.url], [/no node of the cluster "default" answers/]);
  });

  it("a server that is too old", async () => {
    await using old = await Pretender.start(greeting("2.8.4"));
    const texts = [old.url, /2\.8\.4/, /2\.9\.10 or newer is needed: upgrade it/];
    await bothRefuse({ address: old.url }, ["--address", old.url], ConnectionError, texts);
  });

  it("a port that is taken", async () => {
    await using other = await Pretender.start("");
    await commandRefuses(
      ["start", "--cpus", "1", "--port", String(other.port)],
      [new RegExp(`port ${other.port}`), /in use|taken/, /--port/],
    );
  });
});

describe("programs that do not fit the cluster", function () {
  this.timeout(30_000);
  let cluster: ClusterByHand;
  let nc: NatsConnection;
  const subjects = new Subjects();
  const encoder = new Encoder({ useRecords: false, tagUint8Array: false });
  const decoder = new Decoder({ useRecords: false, mapsAsObjects: true });
  before(async () => {
    cluster = await ClusterByHand.start([]);
    nc = await connect({
      servers: cluster.broker.url,
      token: cluster.settings["STINGRAY_TOKEN"] ?? "",
    });
  });
  after(async () => {
    await nc.close();
    await cluster.end();
  });

  const ask = async (
    data: Uint8Array,
  ): Promise<{ error?: { code: string; message: string }; agent?: string }> =>
    decoder.decode((await nc.request(subjects.capability("driver"), data, { timeout: 2_000 })).data) as never;

  it("a join request of another version, or of no shape, is answered with what to do", async () => {
    const { error } = await ask(encoder.encode({ version: PROTOCOL_VERSION + 1 }));
    expect(error?.code).to.equal(ErrorCode.ProtocolError);
    expect(error?.message).to.match(/speaks protocol version 1, the driver 2: install the same version/);
    for (const data of [
      new Uint8Array(),
      Buffer.from("no cbor at all"),
      encoder.encode([1]),
      encoder.encode({}),
    ]) {
      const answer = await ask(data);
      expect(answer.error?.code).to.equal(ErrorCode.ProtocolError);
    }
    expect((await ask(encoder.encode({ version: PROTOCOL_VERSION }))).agent).to.be.a("string");
  });

  it("a cluster of another name, or of another version, does not answer, and the message says so", async () => {
    const texts = [/no node of the cluster "other" answers/, /the name of the cluster/, /same release/];
    await refused(init({ cluster: "other" }), ConnectionError, texts, QUICKLY_MS);
  });

  it("a cluster that answers in another version is refused", async () => {
    const strange = new Subjects(undefined, "strange");
    const subscription = nc.subscribe(strange.capability("driver"), {
      callback: (_, message) => {
        message.respond(
          encoder.encode({
            error: { code: "PROTOCOL", message: 'the cluster "strange" speaks protocol version 9' },
          }),
        );
      },
    });
    await refused(init({ cluster: "strange" }), ProtocolError, [/speaks protocol version 9/], QUICKLY_MS);
    subscription.unsubscribe();
    const garbled = nc.subscribe(strange.capability("driver"), {
      callback: (_, message) => void message.respond("hello"),
    });
    await refused(
      init({ cluster: "strange" }),
      ProtocolError,
      [/no stingray agent of this version/],
      QUICKLY_MS,
    );
    garbled.unsubscribe();
  });

  it("and the cluster takes in those that fit", async () => {
    await cluster.join();
    expect(await get(square.remote(6))).to.equal(36);
    await shutdown();
  });
});
