import { expect } from "chai";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, readdirSync, statSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { ConnectionError, InvalidOptionError } from "@stingray/protocol";
import { eventually } from "@stingray/protocol/testing";
import { connectBroker } from "../src/connect/mod.js";
import { EmbeddedBroker } from "../src/server/mod.js";
import { Cleanup, failureOf, isAlive } from "./server-tools.js";

/** The directory of a running broker, read off the command line of its server. */
function dirOf(pid: number | undefined): string {
  const args = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
  return dirname(args[args.indexOf("-c") + 1] as string);
}

describe("the embedded broker", function () {
  this.timeout(20_000);
  const cleanup = new Cleanup();
  afterEach(() => cleanup.run());

  it("starts quickly, listens on the loopback only, and leaves nothing", async () => {
    const times: number[] = [];
    for (let i = 0; i < 3; i++) {
      const started = performance.now();
      const broker = await EmbeddedBroker.start();
      const nc = await connectBroker(broker.options);
      times.push(performance.now() - started);
      const { pid } = broker;
      const dir = dirOf(pid);
      expect(new URL(broker.url).hostname).to.equal("127.0.0.1");
      await nc.close();
      await broker.stop();
      expect(isAlive(pid as number)).to.equal(false);
      expect(existsSync(dir)).to.equal(false);
      await broker.stop();
    }
    expect(Math.min(...times), `milliseconds: ${times.join(", ")}`).to.be.below(500);
  });

  it("keeps its token and data from other users", async () => {
    const broker = cleanup.use(await EmbeddedBroker.start());
    const dir = dirOf(broker.pid);
    const token = broker.options.auth && "token" in broker.options.auth ? broker.options.auth.token : "";
    expect(token).to.have.length.above(20);
    expect(statSync(dir).mode & 0o777).to.equal(0o700);
    expect(statSync(join(dir, "nats-server.conf")).mode & 0o777).to.equal(0o600);
    expect(readFileSync(`/proc/${broker.pid}/cmdline`, "utf8")).to.not.contain(token);
  });

  it("starts many at once, each with a port of its own", async () => {
    const brokers = await Promise.all(Array.from({ length: 6 }, () => EmbeddedBroker.start()));
    for (const broker of brokers) cleanup.use(broker);
    expect(new Set(brokers.map((broker) => broker.url))).to.have.property("size", 6);
  });

  it("is the same after a restart: port, token, data; killed or not", async () => {
    const broker = cleanup.use(await EmbeddedBroker.start());
    const { url } = broker;
    const nc = await connectBroker(broker.options);
    cleanup.add(() => nc.close());
    await nc.request("$JS.API.STREAM.CREATE.kept", JSON.stringify({ name: "kept", subjects: ["kept"] }));
    await nc.request("kept", "a message");
    for (const signal of ["SIGKILL", "SIGTERM"] as const) {
      await broker.kill(signal);
      expect(broker.pid).to.equal(undefined);
      await broker.restart();
      expect(broker.url).to.equal(url);
      const again = await connectBroker(broker.options);
      const info = await again.request("$JS.API.STREAM.INFO.kept");
      await again.close();
      expect(info.json<{ state: { messages: number } }>().state.messages).to.equal(1);
    }
  });

  it("keeps the data of a storeDir", async () => {
    const storeDir = await cleanup.dir();
    const broker = await EmbeddedBroker.start({ storeDir });
    await broker.stop();
    expect(readdirSync(storeDir)).to.deep.equal(["jetstream"]);
  });

  it("ends when it is stopped while the server is paused", async () => {
    const broker = await EmbeddedBroker.start();
    const pid = broker.pid as number;
    await broker.kill("SIGSTOP");
    await broker.stop();
    expect(isAlive(pid)).to.equal(false);
  });

  it("says that a port is taken", async () => {
    const address = await cleanup.tcp(() => undefined);
    const port = Number(address.split(":")[1]);
    const error = await failureOf(EmbeddedBroker.start({ port }));
    expect(error).to.be.instanceOf(ConnectionError);
    expect(error).to.have.property("message").that.contains(`port ${port}`).and.contains("taken");
    expect(await failureOf(EmbeddedBroker.start({ port: 70_000 }))).to.be.instanceOf(InvalidOptionError);
  });

  it("says so when the binary is no server, or never gets ready", async () => {
    const none = await failureOf(EmbeddedBroker.start({ server: "/no/such/nats-server" }));
    expect(none).to.be.instanceOf(ConnectionError);
    expect(none).to.have.property("message").that.contains("/no/such/nats-server");
    const idle = join(await cleanup.dir(), "idle");
    await writeFile(idle, "#!/bin/sh\nexec sleep 60\n", { mode: 0o755 });
    const late = await failureOf(EmbeddedBroker.start({ server: idle, startTimeoutMs: 200 }));
    expect(late).to.be.instanceOf(ConnectionError);
    expect(late).to.have.property("message").that.contains("not ready within 200 ms");
  });

  it("can't be started again after it was stopped", async () => {
    const broker = await EmbeddedBroker.start();
    await broker.stop();
    expect(await failureOf(broker.restart())).to.be.instanceOf(ConnectionError);
  });

  describe("ends with its parent", () => {
    const program = `
      const { EmbeddedBroker } = await import(process.argv[1]);
      const broker = await EmbeddedBroker.start();
      process.stdout.write(broker.pid + "\\n");
      if (process.argv[2] === "stay") setInterval(() => {}, 1000);
    `;

    async function parent(how: string): Promise<{ child: ReturnType<typeof spawn>; pid: number }> {
      const module = new URL("../src/server/mod.js", import.meta.url).href;
      const child = spawn(process.execPath, ["--input-type=module", "-e", program, module, how], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      cleanup.add(() => void child.kill("SIGKILL"));
      const [data] = (await once(child.stdout, "data")) as [Buffer];
      return { child, pid: Number(data.toString()) };
    }

    it("killed with -9", async () => {
      const { child, pid } = await parent("stay");
      const dir = dirOf(pid);
      child.kill("SIGKILL");
      await eventually(() => !isAlive(pid), "the server ends");
      await eventually(() => !existsSync(dir), "its directory is removed");
    });

    it("that simply comes to its end without a stop", async () => {
      const { child, pid } = await parent("leave");
      if (child.exitCode === null) await once(child, "exit");
      await eventually(() => !isAlive(pid), "the server ends");
    });

    it("also when the watchdog is killed first", async () => {
      const broker = await EmbeddedBroker.start();
      const pid = broker.pid as number;
      const dir = dirOf(pid);
      // The server's parent is the watchdog's subshell, and that one's is the watchdog.
      process.kill(parentOf(parentOf(pid)), "SIGKILL");
      process.kill(parentOf(pid), "SIGKILL");
      await broker.stop();
      await eventually(() => !isAlive(pid), "the server ends");
      await eventually(() => !existsSync(dir), "its directory is removed");
    });
  });
});

function parentOf(pid: number): number {
  return Number(
    readFileSync(`/proc/${pid}/stat`, "utf8")
      .replace(/^.*\) /, "")
      .split(" ")[1],
  );
}
