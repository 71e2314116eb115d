/** How actors end, stall and grow, as callers, `ready`, `stingray status` and `stingray why` tell it. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runCommand } from "@stingray/node/cli";
import { expect } from "chai";
import {
  ActorDiedError,
  ActorUnavailableError,
  GetTimeoutError,
  OutOfMemoryError,
  TaskError,
  TimeoutError,
  WorkerCrashedError,
  get,
  kill,
  ready,
} from "stingray";
import { eventually, rejection, testCluster, type TestCluster } from "stingray/testing";
import { RemoteEndless, RemoteLeaving, RemoteSubject, RemoteThrowing, hungry } from "./fixtures/hosting.js";

const MIB = 2 ** 20;
/** What the agent takes for the memory of its machine. */
const meminfo = (availableMib: number): string =>
  `MemTotal: ${10_000 * 1024} kB\nMemAvailable: ${availableMib * 1024} kB\n`;

describe("actors and their processes", function () {
  this.timeout(30_000);
  let test: TestCluster;
  let runtimeDir: string;
  const before_: Record<string, string | undefined> = {};
  const memory = (): string => join(runtimeDir, "meminfo");

  before(async () => {
    runtimeDir = mkdtempSync(join(tmpdir(), "st-h-"));
    writeFileSync(memory(), meminfo(9_000));
    const settings = {
      STINGRAY_RUNTIME_DIR: runtimeDir,
      STINGRAY_VITALS_MS: "200",
      STINGRAY_MEMORY_LIMITS: "enforce",
      STINGRAY_MEMINFO: memory(),
    };
    for (const [name, value] of Object.entries(settings)) {
      before_[name] = process.env[name];
      process.env[name] = value;
    }
    test = await testCluster({ cpus: 4 });
    // Where the command, which runs in this process, finds the cluster.
    process.env["STINGRAY_RUNTIME_DIR"] = test.env["STINGRAY_RUNTIME_DIR"];
  });
  after(async () => {
    await test.end();
    for (const [name, value] of Object.entries(before_)) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
    rmSync(runtimeDir, { recursive: true, force: true });
  });

  async function stingray(...args: string[]): Promise<string> {
    let said = "";
    await runCommand(args, {
      say: (text) => void (said += `${text}\n`),
      note: (text) => void (said += `${text}\n`),
    });
    return said;
  }

  it("keep what a constructor threw, with its class and its stack there", async () => {
    const error = await rejection(ready(RemoteThrowing.remote()));
    expect(error).to.be.instanceOf(ActorDiedError);
    expect(error.cause).to.be.instanceOf(TaskError);
    const thrown = (error.cause as Error).cause as Error;
    expect(thrown).to.be.instanceOf(RangeError);
    expect(thrown.message).to.equal("no such table");
    expect(thrown.stack).to.match(/new Throwing.*fixtures[\\/]hosting/);
  });

  it("that end say in what, and what may have done it", async () => {
    const left = await rejection(ready(RemoteLeaving.remote()));
    expect(left.message).to.contain("exit code 3 in Leaving constructor").and.to.contain("process.exit()");
    const crashed = await rejection(get(RemoteSubject.remote().crash.remote()));
    expect(crashed.message).to.contain("signal SIGSEGV in Subject.crash").and.to.contain("maxRestarts");
    expect(crashed.cause).to.be.instanceOf(WorkerCrashedError);
    expect((crashed.cause as WorkerCrashedError).detail).to.include({
      signal: "SIGSEGV",
      running: "Subject.crash",
    });
    expect(await stingray("status")).to.match(/Last deaths:\n(.*\n)*.*Subject \(a\w+\).*SIGSEGV/);
  });

  it("that end by an error which nobody caught have it as the cause", async () => {
    const actor = RemoteSubject.options({ maxRestarts: 1 }).remote();
    const lost = await rejection(get(actor.careless.remote()));
    expect(lost).to.be.instanceOf(ActorUnavailableError);
    const died = await rejection(get(actor.careless.remote()));
    expect(died).to.be.instanceOf(ActorDiedError);
    expect(died.message)
      .to.contain("nobody caught TypeError: nobody looks")
      .and.to.contain("it was restarted 1 time");
    for (const { cause } of [lost, died]) {
      const thrown = (cause as Error).cause as Error;
      expect(thrown).to.be.instanceOf(TypeError);
      expect(thrown.stack).to.match(/fixtures[\\/]hosting/);
    }
  });

  it("whose constructor does not end say so where somebody waits for them", async () => {
    const actor = RemoteEndless.remote();
    const text = (): Promise<string> => rejection(ready(actor, { timeoutMs: 300 })).then((e) => e.message);
    await eventually(
      async () => /at Endless onActivate for .* \(pid \d+ on node n/.test(await text()),
      "it is told",
    );
    expect(await rejection(ready(actor, { timeoutMs: 1 }))).to.be.instanceOf(TimeoutError);
    const late = await rejection(get(actor.m.remote(), { timeoutMs: 1 }));
    expect(late.message).to.contain("at Endless onActivate for");
    await kill(actor);
  });

  it("that block their event loop are named: to their callers, by status and by why", async () => {
    const actor = RemoteSubject.options({ name: "spinner" }).remote();
    await ready(actor);
    const spin = actor.spin.remote(6_000);
    const next = actor.m.remote();
    const blocked = /has blocked its event loop for [\d.]+ s, in Subject\.spin \(pid \d+ on node n/;
    await eventually(async () => {
      const late = await rejection(get(next, { timeoutMs: 50 }));
      expect(late).to.be.instanceOf(GetTimeoutError);
      return blocked.test(late.message);
    }, "a caller is told");
    const status = await stingray("status");
    expect(status).to.match(/In trouble:\n {2}Subject \(a\w+\) has blocked its event loop/);
    const id = /Subject \((a\w+)\) has blocked/.exec(status)?.[1] ?? "";
    expect(await stingray("why", id)).to.match(blocked);
    expect(await stingray("actors")).to.match(/spinner\s+ALIVE\s+n\w+\s+\d+\s+0\s.*has blocked/);
    await get([spin, next]);
    await eventually(async () => !(await stingray("status")).includes("In trouble"), "it is over");
    const [line] = (await rejection(get(actor.stay.remote(), { timeoutMs: 1 }))).message.split(";");
    expect(line).not.to.match(/blocked/);
    await kill(actor);
  });

  it("that share a process are told whose method keeps all of them, and end with its error", async () => {
    const shared = RemoteSubject.options({ isolation: "shared" });
    const [busy, idle] = [shared.remote(), shared.remote()];
    expect(await get(busy.m.remote())).to.equal(await get(idle.m.remote()));
    const spin = busy.spin.remote(4_000);
    const next = idle.m.remote();
    const affected =
      /shares a process with 1 other, whose event loop has been blocked for [\d.]+ s, in Subject\.spin \(/;
    await eventually(
      async () => affected.test((await rejection(get(next, { timeoutMs: 50 }))).message),
      "the other's caller is told",
    );
    await get([spin, next]);
    const both = [busy.careless.remote(), idle.stay.remote()];
    for (const ref of both) {
      const died = await rejection(get(ref));
      expect(died.message).to.contain("2 actors with shared isolation").and.to.contain("nobody looks");
      expect((died.cause as Error).cause).to.be.instanceOf(TypeError);
    }
  });

  it("that run into their heap limit end with OutOfMemoryError and the figures", async () => {
    const runtimeEnv = { execArgv: ["--max-old-space-size=24"] };
    const actor = RemoteSubject.options({ runtimeEnv }).remote();
    const { cause } = await rejection(get(actor.fillHeap.remote()));
    expect(cause).to.be.instanceOf(OutOfMemoryError);
    const { detail, message } = cause as OutOfMemoryError;
    expect(detail).to.include({ memory: "heap", signal: "SIGABRT", running: "Subject.fillHeap" });
    expect(detail["used"]).to.be.greaterThan(10 * MIB);
    expect(message).to.contain("--max-old-space-size");
  });

  it("that use more memory than they have declared are ended where that is asked for, and come back", async () => {
    const actor = RemoteSubject.options({ memory: 150 * MIB, maxRestarts: 1 }).remote();
    const pid = await get(actor.m.remote());
    const { cause } = await rejection(get(actor.grow.remote(220)));
    expect(cause).to.be.instanceOf(OutOfMemoryError);
    const { detail } = cause as OutOfMemoryError;
    expect(detail).to.include({ memory: "declared", limit: 150 * MIB });
    expect(detail["used"]).to.be.greaterThan(150 * MIB);
    expect(await get(actor.m.remote())).not.to.equal(pid);
    await kill(actor);
  });

  it("outlive newer work that is run again, where memory gets short", async () => {
    const actor = RemoteSubject.remote();
    void actor.grow.remote(100);
    const ended = async (): Promise<number> =>
      Number(/(\d+) workers? ended for want of memory so far/.exec(await stingray("status"))?.[1] ?? 0);
    const before = await ended();
    const mark = test.file("hungry");
    const task = hungry.remote(150, mark);
    await eventually(() => existsSync(mark), "the task has begun");
    const largest = async (): Promise<string> =>
      /Largest workers:\n.*\n(.*)/.exec(await stingray("status"))?.[1] ?? "";
    await eventually(async () => / 1\d\d(\.\d)? MiB /.test(await largest()), "it is seen to grow");
    writeFileSync(memory(), meminfo(400));
    await eventually(async () => (await ended()) > before, "one is ended");
    writeFileSync(memory(), meminfo(9_000));
    expect(await get(task)).to.equal("again");
    await ready(actor, { timeoutMs: 100 });
    await kill(actor);
  });
});
