import { expect } from "chai";
import { spawn, type ChildProcess } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { captureOutput, formatLine, LogPrinter, NAME_MARKER } from "../src/logs/mod.js";
import type { CaptureOptions, OutputCapture } from "../src/logs/mod.js";
import { LineSplitter, MAX_LINE } from "../src/logs/lines.js";

const all = (splitter: LineSplitter, chunks: Buffer[]) => [
  ...chunks.flatMap((chunk) => splitter.push(chunk)),
  ...splitter.end(),
];
const texts = (groups: { lines: string[] }[]) => groups.flatMap(({ lines }) => lines);

describe("log lines", () => {
  it("puts characters together that were split between chunks", () => {
    const bytes = Buffer.from("größe 😀\nzweite\n");
    const one = Array.from(bytes, (byte) => Buffer.from([byte]));
    expect(texts(all(new LineSplitter(), one))).to.deep.equal(["größe 😀", "zweite"]);
  });

  it("keeps empty lines and a last line without an end", () => {
    expect(texts(all(new LineSplitter(), [Buffer.from("a\n\r\nb")]))).to.deep.equal(["a", "", "b"]);
  });

  it("swallows markers and names the lines after them", () => {
    const text = `before\nhalf${NAME_MARKER}square\none\ntwo\n${NAME_MARKER}cube\nthree\n`;
    expect(all(new LineSplitter("w1"), [Buffer.from(text)])).to.deep.equal([
      { name: "w1", lines: ["before", "half"] },
      { name: "square", lines: ["one", "two"] },
      { name: "cube", lines: ["three"] },
    ]);
  });

  it("hands over-long lines on in pieces, losing nothing and tearing no character", () => {
    const long = "x" + "😀".repeat(MAX_LINE);
    const lines = texts(all(new LineSplitter(), [Buffer.from(long.slice(0, 3)), Buffer.from(long.slice(3))]));
    expect(lines.length).to.be.greaterThan(1);
    expect(lines.join("")).to.equal(long);
    for (const line of lines) expect(Buffer.from(line).toString()).to.equal(line);
    expect(Math.max(...lines.map((line) => line.length))).to.be.at.most(MAX_LINE);
  });
});

describe("log capture", () => {
  let dir: string;
  let child: ChildProcess | undefined;
  beforeEach(() => (dir = mkdtempSync(join(tmpdir(), "stingray-logs-"))));
  afterEach(() => {
    child?.kill("SIGKILL");
    rmSync(dir, { recursive: true, force: true });
  });

  type Seen = { stream: 1 | 2; name: string; lines: string[] }[];
  function run(code: string, options: Partial<CaptureOptions> = {}): { capture: OutputCapture; seen: Seen } {
    child = spawn(process.execPath, ["-e", code], { stdio: ["ignore", "pipe", "pipe"] });
    const seen: Seen = [];
    const capture = captureOutput(child, {
      worker: "w",
      pid: child.pid ?? 0,
      onLines: (stream, name, lines) => seen.push({ stream, name, lines }),
      ...options,
    });
    return { capture, seen };
  }
  const linesOf = (seen: Seen, stream: 1 | 2) =>
    seen.filter((batch) => batch.stream === stream).flatMap(({ lines }) => lines);

  it("delivers both streams, files them and keeps the last lines of standard error", async () => {
    const { capture, seen } = run(
      `console.log("out"); for (let i = 0; i < 30; i++) console.error("error " + i); process.stdout.write("tail");`,
      { logDir: join(dir, "logs") },
    );
    await capture.drained();
    expect(linesOf(seen, 1)).to.deep.equal(["out", "tail"]);
    expect(linesOf(seen, 2)).to.have.lengthOf(30);
    expect(capture.stderrTail()).to.deep.equal(Array.from({ length: 20 }, (_, i) => `error ${i + 10}`));
    const file = join(dir, "logs", `worker-${child?.pid}.out`);
    expect(readFileSync(file, "utf8")).to.equal("out\ntail\n");
    expect(statSync(file).mode & 0o777).to.equal(0o600);
    expect(readFileSync(file.replace(/out$/, "err"), "utf8").split("\n")).to.have.lengthOf(31);
  });

  it("delivers 100,000 lines in far fewer batches, in order", async () => {
    const { capture, seen } = run(`for (let i = 0; i < 100000; i++) console.log(i);`);
    await capture.drained();
    expect(linesOf(seen, 1)).to.deep.equal(Array.from({ length: 100_000 }, (_, i) => String(i)));
    expect(seen.length).to.be.lessThan(5_000);
  });

  it("bounds the files and keeps the newest lines", async () => {
    const { capture } = run(`for (let i = 0; i < 20000; i++) console.log("line " + i);`, {
      logDir: dir,
      maxFileBytes: 64 * 1024,
    });
    await capture.drained();
    const name = `worker-${child?.pid}.out`;
    expect(readdirSync(dir).toSorted()).to.deep.equal([name, `${name}.1`]);
    // One write may be as large as what the pipe delivered while the last one was under way.
    for (const file of readdirSync(dir)) expect(statSync(join(dir, file)).size).to.be.lessThan(1024 * 1024);
    expect(readFileSync(join(dir, name), "utf8")).to.match(/line 19999\n$/);
  });

  it("says once that files can't be written, and goes on delivering", async () => {
    const errors: Error[] = [];
    mkdirSync(join(dir, "worker--1.out")); // a directory in place of the file
    const { capture, seen } = run(`console.log("a"); setTimeout(() => console.log("b"), 50);`, {
      logDir: dir,
      onError: (error) => errors.push(error),
      pid: -1,
    });
    await capture.drained();
    expect(linesOf(seen, 1)).to.deep.equal(["a", "b"]);
    expect(errors).to.have.lengthOf(1);
  });

  it("does not wait for pipes that a child of the process keeps open", async () => {
    const { capture, seen } = run(
      `const child = require("child_process").spawn("sleep", ["30"], { stdio: "inherit", detached: true });
       child.unref(); console.log(child.pid);`,
      { afterExitMs: 100 },
    );
    await capture.drained();
    const lines = linesOf(seen, 1);
    expect(lines).to.have.lengthOf(1);
    process.kill(Number(lines[0]), "SIGKILL");
  });
});

function printer(dedup: boolean, isTTY = false) {
  let text = "";
  const out = { write: (piece: string) => (text += piece), isTTY };
  return { printer: new LogPrinter({ stdout: out, stderr: out, dedup }), text: () => text };
}

describe("log printing", () => {
  const line = { name: "square", pid: 812, stream: 1 as const, line: "hello" };
  it("prefixes a line with name and process", () => {
    expect(formatLine(line)).to.equal("(square pid=812) hello");
    expect(formatLine({ ...line, name: "" })).to.equal("(pid=812) hello");
    expect(formatLine(line, { colour: true })).to.equal("\u001b[36m(square pid=812)\u001b[0m hello");
  });

  it("colours a terminal and nothing else", () => {
    const plain = printer(false);
    plain.printer.print(line, ["a", "b"]);
    expect(plain.text()).to.equal("(square pid=812) a\n(square pid=812) b\n");
  });

  it("shows what several processes repeat once, with a count", () => {
    const { printer: subject, text } = printer(true);
    for (const pid of [1, 2, 3]) subject.print({ ...line, pid }, ["ready"]);
    subject.print({ ...line, pid: 1 }, ["ready"]);
    expect(text()).to.equal("(square pid=1) ready\n(square pid=1) ready\n");
    subject.close();
    expect(text()).to.match(/\(square pid=3\) ready \[repeated 2x\]\n$/);
  });
});
