/** Workers that end, that never start, and modules that fail in them: the error says which, how and why. */
import { mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { expect } from "chai";
import {
  ActorDiedError,
  FunctionNotFoundError,
  RuntimeEnvError,
  WorkerCrashedError,
  get,
  ready,
  type RemoteFunction,
} from "stingray";
import { eventually, testCluster, type TestCluster } from "stingray/testing";
import { RemoteTalker, crashesTwice, exits, sits, square } from "./fixtures/bad-use-tasks.js";
import { tooLate } from "./fixtures/bad-use/never-loads.js";
import { neverThere } from "./fixtures/bad-use/throws-while-loading.js";
import { linesOf } from "./support/lines.js";
import { refused } from "./support/bad-use.js";
import { Sandbox } from "./support/sandbox.js";

const fixture = (name: string): string => fileURLToPath(new URL(`fixtures/bad-use/${name}`, import.meta.url));

describe("workers that fail", function () {
  this.timeout(30_000);
  let test: TestCluster;
  before(async () => {
    test = await testCluster();
  });
  afterEach("all works as before", async () => {
    expect(await get(square.remote(5))).to.equal(25);
  });
  after(() => test.end());

  it("a worker that calls process.exit(3): exit code and last lines of standard error", async () => {
    const error = await refused(
      get(exits.remote(3, "one\ntwo\nthe last words\n")),
      WorkerCrashedError,
      [/exits/, /exit code 3/, /one \| two \| the last words/],
      5_000,
    );
    expect(error.retryable).to.equal(true);
    expect(error.detail).to.include({ exitCode: 3, signal: null });
    expect(error.detail["pid"]).to.be.a("number");
    expect(error.detail["stderr"]).to.deep.equal(["one", "two", "the last words"]);
  });

  it("a worker that ends itself without an error code is a crash, too, even in the middle of a line", async () => {
    const error = await refused(get(exits.remote(0, "no line end")), WorkerCrashedError, [
      /exit code 0/,
      /no line end/,
    ]);
    expect(error.detail["stderr"]).to.deep.equal(["no line end"]);
  });

  it("a worker that is killed: the signal, and its last lines of standard error", async () => {
    const file = test.file("sits");
    const ref = sits.remote(file);
    const pid = Number(await eventually(() => linesOf(file)[0], "the task has begun"));
    process.kill(pid, "SIGKILL");
    const error = await refused(
      get(ref),
      WorkerCrashedError,
      [/sits/, `pid ${pid}`, /signal SIGKILL/, /still sitting/],
      5_000,
    );
    expect(error.detail).to.include({ pid, exitCode: null, signal: "SIGKILL" });
  });

  it("a task that always crashes its worker fails when its retries are used up, and says how often it ran", async () => {
    const file = test.file("crashes");
    await refused(get(crashesTwice.remote(file)), WorkerCrashedError, [
      /crashesTwice/,
      /exit code 7/,
      /3 attempts/,
    ]);
    expect(linesOf(file)).to.have.length(3);
  });

  it("an actor that ends its process is dead, with the same facts as its cause", async () => {
    const talker = RemoteTalker.remote();
    await ready(talker);
    const error = await refused(get(talker.exit.remote(4)), ActorDiedError, [/Talker/, /exit code 4/], 5_000);
    expect(error.cause).to.be.instanceOf(WorkerCrashedError);
    expect((error.cause as WorkerCrashedError).detail).to.include({ exitCode: 4 });
    expect((error.cause as WorkerCrashedError).detail["stderr"]).to.deep.equal(["the actor leaves"]);
    await refused(get(talker.look.remote()), ActorDiedError, [/Talker/, /exit code 4/], 1_000);
    await refused(ready(talker), ActorDiedError, [/Talker/], 1_000);
  });

  it("nonsense for the node executable: its own words", async () => {
    const odd = square.options({ runtimeEnv: { execArgv: ["--no-such-flag"] } });
    const error = await refused(
      get(odd.remote(2)),
      RuntimeEnvError,
      [/could not be prepared/, /exit code 9/, /execArgv/, /bad option: --no-such-flag/],
      5_000,
    );
    expect(error.detail).to.include({ exitCode: 9 });
    expect(String(error.detail["stderr"])).to.contain("--no-such-flag");
    const actorError = await refused(
      ready(RemoteTalker.options({ runtimeEnv: { execArgv: ["--no-such-flag"] } }).remote()),
      ActorDiedError,
      [/--no-such-flag/],
      10_000,
    );
    expect(actorError.cause).to.be.instanceOf(RuntimeEnvError);
  });

  it("a working directory that is not there", async () => {
    const missing = join(tmpdir(), "no", "such", "directory");
    const odd = square.options({ runtimeEnv: { workingDir: missing } });
    await refused(
      get(odd.remote(2)),
      RuntimeEnvError,
      [missing, /can't be entered/, /must exist on every node/],
      10_000,
    );
  });

  it("setup modules that throw, are missing, or export nothing", async () => {
    const cases: [string, (string | RegExp)[]][] = [
      [fixture("setup-throws.js"), [/setup-throws\.js/, /threw: the licence has expired/]],
      [fixture("setup-missing.js"), [/setup-missing\.js/, /threw while it was loaded: Cannot find module/]],
      [
        fixture("setup-without-default.js"),
        [/setup-without-default\.js/, /default export that is a function/],
      ],
    ];
    for (const [setup, texts] of cases)
      await refused(get(square.options({ runtimeEnv: { setup } }).remote(2)), RuntimeEnvError, texts, 10_000);
  });

  it("a module that throws while it is loaded: its own error is the cause", async () => {
    const error = await refused(
      get(neverThere.remote()),
      RuntimeEnvError,
      [/throws-while-loading/, /neverThere/, /RangeError: no such dataset/],
      10_000,
    );
    expect(error.cause).to.be.instanceOf(RangeError);
    expect(error.stack).to.match(/throws-while-loading/);
  });

  it("a module that never finishes loading", async () => {
    const patient = tooLate.options({ runtimeEnv: { envVars: { STINGRAY_LOAD_TIMEOUT_MS: "700" } } });
    await refused(
      get(patient.remote()),
      RuntimeEnvError,
      [/never-loads/, /tooLate/, /did not finish loading within 700 ms/, /top level/],
      10_000,
    );
  });

  it("a worker of another version of the protocol", async () => {
    const flag = pathToFileURL(
      join(fixture(".."), "..", "..", "..", "test", "fixtures", "bad-use", "other-version.mjs"),
    ).href;
    const odd = square.options({ runtimeEnv: { execArgv: ["--import", flag] } });
    await refused(
      get(odd.remote(2)),
      RuntimeEnvError,
      [/version 2/, /version 1/, /same (release|version)/],
      10_000,
    );
  });
});

describe("modules that change or hide what they define", function () {
  this.timeout(30_000);

  it("a function that was changed after the program had loaded it", async () => {
    const test = await testCluster();
    const directory = realpathSync(mkdtempSync(join(tmpdir(), "st-changed-")));
    try {
      const file = join(directory, "changed.mjs");
      const write = (body: string): void =>
        writeFileSync(
          file,
          `import { remote } from ${JSON.stringify(import.meta.resolve("stingray"))};\n` +
            `export const version = remote(function version() { ${body} });\n` +
            `export const same = remote(function same() { return "same"; });\n`,
        );
      write("return 1;");
      const { version, same } = (await import(pathToFileURL(file).href)) as Record<
        "version" | "same",
        RemoteFunction<[], unknown>
      >;
      expect(await get(version.remote())).to.equal(1);
      write("return 2;");
      const elsewhere = { runtimeEnv: { envVars: { FRESH: "1" } } };
      await refused(
        get(version.options(elsewhere).remote()),
        FunctionNotFoundError,
        [/"version"/, file, /was changed since it was loaded/, /start the program again/],
        10_000,
      );
      expect(await get(same.options(elsewhere).remote())).to.equal("same");
      rmSync(file);
      const gone = { runtimeEnv: { envVars: { FRESH: "2" } } };
      await refused(
        get(version.options(gone).remote()),
        RuntimeEnvError,
        [file, /Cannot find module/],
        10_000,
      );
    } finally {
      rmSync(directory, { recursive: true, force: true });
      await test.end();
    }
  });

  it("a function that is defined below `await init()`", async () => {
    const sandbox = new Sandbox();
    try {
      const program = sandbox.program("bad-use/defined-below-init.js");
      const { name, message } = JSON.parse(await program.says("error", 20_000)) as Record<string, string>;
      expect(name).to.equal("FunctionNotFoundError");
      expect(message).to.match(/"below" in .*defined-below-init\.js/);
      expect(message).to.contain("it found above").and.to.contain("above `await init()`");
      expect(Number(await program.says("took"))).to.be.below(8_000);
      expect(await program.says("above")).to.equal("fine");
      await program.succeeds();
      await sandbox.nothingRemains();
    } finally {
      await sandbox.end();
    }
  });
});
