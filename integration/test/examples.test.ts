import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "chai";

const EXAMPLES = fileURLToPath(new URL("../../../examples/", import.meta.url));
const DEADLINE_MS = 60_000;
/** What ends with the program may take this long to be gone after it. */
const REMAINS_MS = 5_000;
/** Every process that an example starts inherits it, so that none can hide. */
const MARK = "STINGRAY_EXAMPLE_RUN";

interface Ended {
  code: number | null;
  lines: string[];
  stderr: string;
  mark: string;
}

/** Runs an example to its end with nothing around it but a temporary directory of its own. */
async function runExample(name: string, directory: string, nodeFlags: string[] = []): Promise<Ended> {
  const mark = randomUUID();
  const { STINGRAY_ADDRESS: _elsewhere, ...inherited } = process.env;
  const child = spawn(process.execPath, [...nodeFlags, join(EXAMPLES, name)], {
    cwd: EXAMPLES,
    env: { ...inherited, STINGRAY_RUNTIME_DIR: join(directory, "run"), [MARK]: mark },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  const timer = setTimeout(() => child.kill("SIGKILL"), DEADLINE_MS);
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  clearTimeout(timer);
  return { code, lines: stdout.trimEnd().split("\n"), stderr, mark };
}

async function processesOf(mark: string): Promise<string[]> {
  const found: string[] = [];
  for (const pid of await readdir("/proc")) {
    if (!/^\d+$/.test(pid)) continue;
    const environment = await readFile(`/proc/${pid}/environ`, "utf8").catch(() => "");
    if (!environment.includes(`${MARK}=${mark}`)) continue;
    const command = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
    if (command !== "") found.push(`process ${pid}: ${command.replaceAll("\0", " ").slice(0, 120)}`);
  }
  return found;
}

async function sharedMemory(): Promise<string[]> {
  const names = await readdir("/dev/shm").catch(() => []);
  return names.filter((name) => name.startsWith("stingray")).map((name) => `/dev/shm/${name}`);
}

/** What a run left that was not there before, after it had time to go. */
async function remainsOf(mark: string, before: readonly string[]): Promise<string[]> {
  const deadline = performance.now() + REMAINS_MS;
  for (;;) {
    const memory = (await sharedMemory()).filter((path) => !before.includes(path));
    const left = [...(await processesOf(mark)), ...memory];
    if (left.length === 0 || performance.now() > deadline) return left;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** The number at the end of the line that begins with `label`. */
function figure(lines: readonly string[], label: string): number {
  const line = lines.find((one) => one.startsWith(label));
  expect(line, `no line "${label} …" in:\n${lines.join("\n")}`).to.be.a("string");
  return Number(/[\d.]+/.exec((line ?? "").slice(label.length))?.[0]);
}

describe("the examples, each on a cluster of its own", function () {
  this.timeout(DEADLINE_MS + 15_000);
  let directory = "";

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "stex-"));
  });
  afterEach(async () => {
    await rm(directory, { recursive: true, force: true });
  });

  function example(
    name: string,
    shows: string,
    check: (lines: string[]) => void,
    nodeFlags?: string[],
  ): void {
    it(`${name} ${shows}, and leaves nothing behind`, async () => {
      const before = await sharedMemory();
      const ended = await runExample(name, directory, nodeFlags);
      expect(ended.code, ended.stderr).to.equal(0);
      check(ended.lines);
      expect(await remainsOf(ended.mark, before)).to.deep.equal([]);
    });
  }

  example("counter.mjs", "counts", (lines) => {
    expect(lines).to.deep.equal(["squares: 1 4 9 16", "counter: 40"]);
  });

  example("hello-supervisor.mjs", "greets from five processes", (lines) => {
    const pids = new Set(lines.flatMap((line) => /pid (\d+)/.exec(line)?.[1] ?? []));
    expect(pids.size).to.equal(5); // the driver, the supervisor and three greeters
    expect(lines.filter((line) => /Hello \w+, this is greeter/.test(line))).to.have.length(6);
    expect(lines.at(-1)).to.equal("6 greetings from 5 processes");
  });

  example("primes.mjs", "finds the sum both ways", (lines) => {
    expect(lines[0]).to.equal("sum of the primes below 2000000: 142913828922");
    expect(figure(lines, "sequential, 8 times:")).to.be.greaterThan(0);
    expect(figure(lines, "parallel, 8 tasks:")).to.be.greaterThan(0);
    expect(figure(lines, "speed-up:")).to.be.greaterThan(0);
  });

  example("iris.mjs", "finds the species", (lines) => {
    expect(lines).to.include("cluster sizes: 53 50 47");
    expect(figure(lines, "purity:")).to.equal(0.833);
    expect(figure(lines, "adjusted Rand index:")).to.equal(0.62);
  });

  example("parameter-server.mjs", "learns", (lines) => {
    expect(lines).to.include("steps: 400 with 3 workers");
    expect(figure(lines, "accuracy before:")).to.be.lessThan(0.5);
    expect(figure(lines, "accuracy after:")).to.be.greaterThan(0.9);
  });

  example("bank.mjs", "keeps the sum", (lines) => {
    expect(lines.at(-1)).to.equal("alice has -110, bob has 310, together 200");
  });

  example("pipeline.mjs", "passes its pages on", (lines) => {
    expect(lines).to.deep.equal(["24 pages parsed by 2 tasks, 140 words scored by 2 actors"]);
  });

  example(
    "decorators.ts",
    "keeps an account",
    (lines) => {
      expect(lines).to.deep.equal([
        "withdrawn, left: 40",
        "withdrawn, left: 10",
        "refused: 20 is more than the balance of 10",
        "balance: 10",
      ]);
    },
    ["--import", "tsx"],
  );
});
