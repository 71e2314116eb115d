/** The pool with real processes, without an agent: whoever tests plays it. */
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import {
  ErrorCode,
  RuntimeEnvError,
  newAgentId,
  newNodeId,
  type ExitReport,
  type JobSpec,
  type ProcessId,
  type RuntimeEnvSpec,
} from "@stingray/protocol";
import { eventually, rejection } from "@stingray/protocol/testing";
import { expect } from "chai";
import { fitsUnbound, inheritable, workerEnv } from "../../src/pool/env.js";
import { WorkerPool, type PoolOptions } from "../../src/pool/pool.js";
import { StartFailures } from "../../src/pool/start-failures.js";
import { nextWorkerState, type WorkerState } from "../../src/pool/worker-state.js";
import { jobSpecOf as job } from "../support/job-spec.js";
import { isRunning } from "../support/leftovers.js";

const shape = (runtimeEnv?: RuntimeEnvSpec) => ({
  resources: { CPU: 1 },
  ...(runtimeEnv ? { runtimeEnv } : {}),
});

describe("pool", function () {
  this.timeout(10_000);
  let dir: string;
  let pools: WorkerPool[];
  let exits: { worker: ProcessId; report: ExitReport }[];
  let neverStarted: string[];
  /** Whether nothing would be lost with a worker. */
  let mayEnd: boolean | undefined;
  let kept: ProcessId[];
  /** Those with which something would be lost in any case. */
  let staying: Set<ProcessId>;

  /** Workers that do as their program says; "ready" is played by whoever makes the pool. */
  function make(program: string, o: Partial<PoolOptions> = {}, ready = true): WorkerPool {
    const workerMain = join(dir, `worker-${pools.length}.mjs`);
    writeFileSync(workerMain, program);
    const pool: WorkerPool = new WorkerPool(
      {
        config: {
          node: newNodeId(),
          agent: newAgentId(),
          subjectRoot: "st",
          cluster: "default",
          socketDir: dir,
          secret: "",
          storeDir: dir,
          links: "auto",
          parentPid: process.pid,
          broker: { servers: [] },
        },
        prestart: 0,
        workerMain,
        times: { startMs: 2_000, graceMs: 100 },
        ...o,
      },
      {
        bind: () => Promise.resolve(),
        askToEnd: () => undefined,
        mayEnd: (worker) => Promise.resolve(staying.has(worker) ? false : mayEnd),
        kept: (worker) => void kept.push(worker),
        exited: (worker, report) => void exits.push({ worker, report }),
        neverStarted: (_worker, error) => void neverStarted.push(error.message),
        lines: (worker, _stream, _name, [line]) => {
          if (ready && line === "up") worker.ready();
        },
      },
    );
    pools.push(pool);
    return pool;
  }
  const idle = `(console.log("up"), setInterval(() => {}, 1000));`;

  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "sr-"));
    pools = [];
    exits = [];
    neverStarted = [];
    mayEnd = true;
    kept = [];
    staying = new Set();
  });
  afterEach(async () => {
    await Promise.all(pools.map((pool) => pool.stop("test over", 0)));
    expect(pools.map((pool) => pool.size)).to.deep.equal(pools.map(() => 0));
    rmSync(dir, { recursive: true });
  });

  it("binds the worker that was started ahead, and gives it again to the same job and environment only", async () => {
    const pool = make(idle, { prestart: 1 });
    pool.prestart();
    const [ahead] = pool.all();
    pool.bindAhead(job("j1"));
    const first = await pool.acquire(job("j1"), shape());
    expect(first).to.equal(ahead?.id);
    pool.release(first, "reuse");
    expect(await pool.acquire(job("j1"), shape())).to.equal(first);
    expect(await pool.acquire(job("j1"), shape())).not.to.equal(first);
    pool.release(first, "reuse");
    expect(await pool.acquire(job("j2"), shape())).not.to.equal(first);
    expect(await pool.acquire(job("j1"), shape({ envVars: { A: "1" } }))).not.to.equal(first);
    expect(await pool.acquire(job("j1"), shape())).to.equal(first);
  });

  it("starts workers for the only job with its arguments and variables", async () => {
    const pool = make(`process.env.TZ === "UTC" && typeof gc === "function" && ${idle}`, { prestart: 1 });
    const only = job("j1", { execArgv: ["--expose-gc"], runtimeEnv: { envVars: { TZ: "UTC" } } });
    pool.prestartFor(only);
    const [ahead] = pool.all();
    expect(await pool.acquire(only, shape())).to.equal(ahead?.id);
    await pool.endJob("j1", () => false, "job-ended");
    expect(pool.size).to.equal(0);
  });

  it("never uses a worker again that is unusable or had GPUs, nor gives a used one GPUs", async () => {
    const pool = make(idle);
    const one = await pool.acquire(job("j1"), shape());
    pool.release(one, "reuse");
    const gpu = await pool.acquire(job("j1"), { resources: { GPU: 1 } });
    expect(gpu).not.to.equal(one);
    const process = pool.get(gpu);
    if (process !== undefined) process.hadGpus = true;
    pool.release(gpu, "reuse");
    pool.release(one, "end");
    await eventually(() => pool.size === 0, "both to end");
  });

  it("rejects with exit code and last words when a worker ends before it is ready", async () => {
    const pool = make(`console.error("no such module"); process.exit(5);`);
    const error = (await rejection(pool.acquire(job("j1"), shape()))) as Error;
    expect(error).to.have.property("code", ErrorCode.RuntimeEnvError);
    expect(error.message).to.contain("exit code 5").and.contain("no such module");
    expect(error).to.have.nested.property("detail.exitCode", 5);
  });

  it("outlives that no process can be started, and says which limit it met", async () => {
    const program = fileURLToPath(new URL("../fixtures/no-descriptors.js", import.meta.url));
    const command = `ulimit -n 64; exec "${process.execPath}" "${program}"`;
    const { stdout } = await promisify(execFile)("sh", ["-c", command]);
    expect(stdout).to.match(/^RuntimeEnvError: .*spawn .* EMFILE.*ulimit -n/);
  });

  it("says so of a worker that never started and that nobody waited for", async () => {
    const pool = make(`console.error("no such library"); process.exit(5);`, { prestart: 1 });
    pool.prestart();
    await eventually(() => neverStarted.length > 0, "it is told");
    expect(neverStarted[0]).to.contain("exit code 5").and.contain("no such library");
    expect(pool.size).to.equal(0);
  });

  it("does not start workers that can't be prepared again and again, and says why", async () => {
    const pool = make(`console.error("broken"); process.exit(5);`);
    const messages: string[] = [];
    for (let i = 0; i < 8; i++) {
      const error = (await rejection(pool.acquire(job("j1"), shape()))) as Error;
      expect(error).to.have.property("code", ErrorCode.RuntimeEnvError);
      messages.push(error.message);
    }
    expect(exits).to.have.length(3);
    for (const message of messages) expect(message).to.contain("exit code 5").and.contain("broken");
    expect(messages[7]).to.match(/3 workers .* in a row .* the next one is tried in \d+ ms/);
    const other = (await rejection(pool.acquire(job("j1"), shape({ envVars: { A: "1" } })))) as Error;
    expect(other.message).to.contain("exit code 5");
    expect(exits).to.have.length(4);
  });

  it("tries again after a pause that doubles, and forgets failures once one has started", () => {
    const failures = new StartFailures();
    const error = new RuntimeEnvError("broken");
    const waits = (now: number): boolean => failures.refusal("e", now) !== undefined;
    for (const at of [1, 2, 3]) failures.failed("e", error, at, at);
    failures.failed("e", error, 2, 3); // was started beside the others
    expect([waits(4), waits(1_002), waits(1_004)]).to.deep.equal([true, true, false]);
    failures.failed("e", error, 1_004, 1_005);
    expect([waits(3_004), waits(3_006)]).to.deep.equal([true, false]);
    failures.succeeded("e");
    failures.failed("e", error, 4_000, 4_001);
    expect(waits(4_002)).to.equal(false);
  });

  it("gives a retired worker to nobody, and ends it when nothing would be lost with it", async () => {
    const pool = make(idle);
    const [one, two] = [await pool.acquire(job("j1"), shape()), await pool.acquire(job("j1"), shape())];
    pool.release(two, "reuse");
    pool.retire(two, "used up");
    await eventually(() => exits.length === 1, "the end of one that was idle");
    mayEnd = false;
    pool.retire(one, "used up");
    pool.release(one, "reuse");
    expect(await pool.acquire(job("j1"), shape())).not.to.equal(one);
    expect(pool.get(one)?.usable).to.equal(true);
    mayEnd = true;
    await eventually(() => exits.some((e) => e.worker === one), "its end");
    expect(exits.map((e) => e.report.reason)).to.deep.equal(["used up", "used up"]);
  });

  it("ends a worker that had GPUs when nothing would be lost with it, and says so if it has to stay", async () => {
    const pool = make(idle);
    const gpu = await pool.acquire(job("j1"), { resources: { GPU: 1 } });
    const process = pool.get(gpu);
    if (process !== undefined) process.hadGpus = true;
    mayEnd = false;
    pool.release(gpu, "retire");
    await eventually(() => kept.length > 0, "it stays");
    expect([kept[0], process?.usable]).to.deep.equal([gpu, true]);
    mayEnd = undefined; // does not answer: the GPU must not be waited for
    await eventually(() => pool.size === 0, "its end");
  });

  it("makes room by those that can go, and counts those that stay for what they own", async () => {
    const pool = make(idle, { maxIdleOthers: 2 });
    const workers = await Promise.all([1, 2, 3, 4].map(() => pool.acquire(job("j1"), shape())));
    for (const worker of workers) pool.release(worker, "reuse");
    const [oldest, next, ...young] = workers as [ProcessId, ProcessId, ...ProcessId[]];
    for (const worker of [oldest, next]) staying.add(worker);
    await pool.acquire(job("j2"), shape());
    await eventually(() => pool.size === 3, "those that can go are gone");
    expect(exits.map(({ worker }) => worker)).to.have.members(young);
    expect(pool.keptCount).to.equal(2);
    await Promise.all([1, 2].map(() => pool.acquire(job("j1"), shape())));
    expect([pool.size, pool.keptCount], "used again").to.deep.equal([3, 0]);
  });

  it("kills what nobody wants at once", async () => {
    const pool = make(idle, { times: { graceMs: 60_000 } });
    pool.release(await pool.acquire(job("j1"), shape()), "kill");
    await eventually(() => exits[0]?.report.signal === "SIGKILL", "its end");
  });

  it("kills a worker that does not start in time", async () => {
    const pool = make(idle, { times: { startMs: 200 } }, false);
    const error = (await rejection(pool.acquire(job("j1"), shape()))) as Error;
    expect(error.message).to.contain("did not start within 200 ms");
    expect(pool.size).to.equal(0);
  });

  it("ends a worker that ignores every request to end", async () => {
    const pool = make(`process.on("SIGTERM", () => {}); ${idle}`);
    const worker = await pool.acquire(job("j1"), shape());
    const pid = pool.get(worker)?.pid ?? 0;
    pool.end(worker, "test");
    await eventually(() => exits.length > 0, "its end");
    expect(exits[0]?.report).to.deep.include({ signal: "SIGKILL", reason: "test" });
    expect(isRunning(pid)).to.equal(false);
  });

  it("lets idle workers go, down to those kept ready", async () => {
    const pool = make(idle, { prestart: 1, idleMs: 100 });
    const workers = await Promise.all([1, 2, 3].map(() => pool.acquire(job("j1"), shape())));
    for (const worker of workers) pool.release(worker, "reuse");
    await eventually(() => pool.size === 1, "two to end");
  });

  it("ends the workers of a job and keeps what they printed", async () => {
    const pool = make(idle, { logDir: join(dir, "logs") });
    const worker = await pool.acquire(job("j1"), shape());
    const other = await pool.acquire(job("j2"), shape());
    const pid = pool.get(worker)?.pid;
    await pool.endJob("j1", () => false, "job-ended");
    expect(pool.all().map((w) => w.id)).to.deep.equal([other]);
    expect(readFileSync(join(dir, "logs", `worker-${pid}.out`), "utf8")).to.equal("up\n");
  });
});

describe("pool: environments", () => {
  it("lays the shape's over the job's", () => {
    const base = job("j", {
      runtimeEnv: { envVars: { A: "1", B: "1" }, setup: "s.js", execArgv: ["--expose-gc"] },
      execArgv: ["--import", "tsx"],
    });
    const env = workerEnv(base, { envVars: { B: "2" }, workingDir: "/w" });
    expect(env.runtimeEnv).to.deep.include({ envVars: { A: "1", B: "2" }, setup: "s.js", workingDir: "/w" });
    expect(env.execArgv).to.deep.equal(["--import", "tsx", "--expose-gc"]);
    expect(workerEnv(base, { envVars: { B: "2" }, workingDir: "/w" }).key).to.equal(env.key);
    expect(workerEnv(base, undefined).key).not.to.equal(env.key);
  });

  it("does not hand on what concerns the driver's own run", () => {
    const given = ["--inspect=0", "-e", "code()", "--enable-source-maps", "--input-type=module", "--test"];
    expect(inheritable(given)).to.deep.equal(["--enable-source-maps"]);
  });

  it("uses a process without a job only where nothing must be set before it starts", () => {
    const plain = (o: Partial<JobSpec>): boolean => fitsUnbound(workerEnv(job("j", o), undefined), []);
    expect(plain({})).to.equal(true);
    expect(plain({ runtimeEnv: { envVars: { COLOUR: "red" } } })).to.equal(true);
    expect(plain({ runtimeEnv: { envVars: { NODE_OPTIONS: "--trace-gc" } } })).to.equal(false);
    expect(plain({ execArgv: ["--import", "tsx"] })).to.equal(false);
  });

  it("knows no way back from the end", () => {
    const exited: WorkerState = { kind: "exited", report: { pid: 1, stderr: [] } };
    expect(nextWorkerState(exited, { kind: "ready" })).to.equal(exited);
    expect(nextWorkerState({ kind: "ending", reason: "a" }, { kind: "end", reason: "b" })).to.deep.equal({
      kind: "ending",
      reason: "a",
    });
    expect(nextWorkerState({ kind: "starting" }, { kind: "bindDone" })).to.deep.equal({ kind: "starting" });
  });
});
