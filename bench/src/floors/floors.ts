import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { createConnection } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { connectBroker } from "@stingray/broker/connect";
import { EmbeddedBroker } from "@stingray/broker/server";
import { StingrayError } from "@stingray/protocol";
import { rateSubject } from "../measure.js";
import type { Subject } from "../measure.js";
import { BatchedCalls, floorOperations } from "./calls.js";
import type { EchoOrder } from "./echo.js";
import { Awake, readFrames, writeFrame } from "./frames.js";

const START_TIMEOUT_MS = 10_000;
type Mode = "sync" | "async";

interface Floor {
  name: "nats" | "unix" | "unixAwake";
  calls: BatchedCalls;
  close(): Promise<void>;
}

/**
 * The floors: the same small call between two bare processes, over a broker of their own and over a Unix socket. They
 * are connected once and idle, without any timer, while others are measured.
 */
export class Floors {
  readonly #floors: Floor[];
  readonly #directory: string;
  readonly #broker: EmbeddedBroker;

  private constructor(floors: Floor[], directory: string, broker: EmbeddedBroker) {
    this.#floors = floors;
    this.#directory = directory;
    this.#broker = broker;
  }

  /** Starts a broker and three answering processes. */
  static async start(): Promise<Floors> {
    const directory = await mkdtemp(join(tmpdir(), "stingray-bench-"));
    const broker = await EmbeddedBroker.start({ jetstream: false });
    const started = await Promise.allSettled([
      startNats(broker),
      startUnix("unix", join(directory, "plain.sock"), false),
      startUnix("unixAwake", join(directory, "awake.sock"), true),
    ]);
    const up = started.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
    const floors = new Floors(up, directory, broker);
    const failed = started.find((result) => result.status === "rejected");
    if (failed) {
      await floors.stop();
      throw failed.reason;
    }
    return floors;
  }

  /** The floors that belong beside a case: the busy-poll only shows one call at a time. */
  subjects(mode: Mode): Subject[] {
    return this.#floors
      .filter((floor) => mode === "sync" || floor.name !== "unixAwake")
      .map((floor) => rateSubject(floor.name, floor.calls.iteration(mode), floorOperations(mode)));
  }

  /** One call of each floor, for whoever times single calls. */
  callers(): { name: string; call: () => Promise<unknown> }[] {
    return this.#floors.map(({ name, calls }) => ({ name, call: () => calls.call() }));
  }

  async stop(): Promise<void> {
    await Promise.all(this.#floors.map((floor) => floor.close()));
    await this.#broker.stop();
    await rm(this.#directory, { recursive: true, force: true });
  }
}

async function startNats(broker: EmbeddedBroker): Promise<Floor> {
  const [subject, replies] = ["bench.calls", "bench.replies"];
  const child = await startEcho({ link: "nats", broker: broker.options, subject, replies });
  const nc = await connectBroker(broker.options);
  const calls = new BatchedCalls((bytes) => nc.publish(subject, bytes));
  nc.subscribe(replies, {
    callback: (error, message) => {
      if (!error) calls.receive(message.data);
    },
  });
  await nc.flush();
  return {
    name: "nats",
    calls,
    async close() {
      await nc.close();
      await endEcho(child);
    },
  };
}

async function startUnix(name: "unix" | "unixAwake", path: string, spin: boolean): Promise<Floor> {
  const child = await startEcho({ link: "unix", path, awake: spin });
  const awake = spin ? new Awake() : undefined;
  const socket = createConnection(path);
  await new Promise<void>((resolve, reject) => {
    socket.once("connect", resolve);
    socket.once("error", reject);
  });
  const calls = new BatchedCalls((bytes) => {
    writeFrame(socket, bytes);
    awake?.touch();
  });
  readFrames(socket, (body) => {
    calls.receive(body);
    awake?.touch();
  });
  return {
    name,
    calls,
    async close() {
      socket.destroy();
      await endEcho(child);
    },
  };
}

async function startEcho(order: EchoOrder): Promise<ChildProcess> {
  const child = fork(fileURLToPath(new URL("echo.js", import.meta.url)), { execArgv: [] });
  await new Promise<void>((resolve, reject) => {
    const fail = (what: string): void =>
      reject(new StingrayError(`the answering process of a floor ${what}`));
    const timer = setTimeout(() => {
      child.kill("SIGKILL");
      fail(`was not ready within ${START_TIMEOUT_MS / 1000} s`);
    }, START_TIMEOUT_MS);
    child.once("message", () => {
      clearTimeout(timer);
      resolve();
    });
    child.once("exit", () => {
      clearTimeout(timer);
      fail("ended before it was ready");
    });
    child.send(order);
  });
  return child;
}

async function endEcho(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  child.kill("SIGKILL");
  await exited;
}
