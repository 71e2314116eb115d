/** How actors end, come back, and what their callers learn. */
import { expect } from "chai";
import {
  ActorDiedError,
  ActorUnavailableError,
  RuntimeEnvError,
  TaskError,
  TimeoutError,
  WorkerCrashedError,
  get,
  kill,
  ready,
} from "stingray";
import { eventually, isRunning, rejection, testCluster, type TestCluster } from "stingray/testing";
import {
  RemoteBadActivation,
  RemoteBadConstructor,
  RemoteCounter,
  RemoteDiarist,
  RemoteMortal,
  RemoteRecorder,
  RemoteSlowConstructor,
  RemoteUnplaceable,
  valueAfter,
} from "./fixtures/actors.js";
import { RemoteOfBrokenModule } from "./fixtures/actors-broken-module.js";
import { linesOf } from "./support/lines.js";

describe("the end of an actor", function () {
  this.timeout(20_000);
  let test: TestCluster;

  before(async () => {
    test = await testCluster();
  });
  after(() => test.end());

  describe("ready()", () => {
    it("resolves when the constructor and onActivate have run", async () => {
      const slow = RemoteSlowConstructor.remote();
      await ready(slow);
      expect(await get(slow.ok.remote())).to.equal(true);
      await ready(slow);
    });

    it("rejects with what the constructor or onActivate threw, and so do the calls", async () => {
      const bad = RemoteBadConstructor.remote("no such thing");
      for (const error of [await rejection(ready(bad)), await rejection(get(bad.never.remote()))]) {
        expect(error).to.be.instanceOf(ActorDiedError);
        expect(error.message).to.contain("BadConstructor").and.contain("SyntaxError: no such thing");
        expect(error.cause).to.be.instanceOf(TaskError);
      }
      expect((await rejection(ready(RemoteBadActivation.remote()))).message).to.contain(
        "RangeError: not today",
      );
    });

    it("rejects where the module throws in a worker, and names it", async () => {
      const error = await rejection(ready(RemoteOfBrokenModule.remote()));
      expect(error).to.be.instanceOf(ActorDiedError);
      expect(error.cause).to.be.instanceOf(RuntimeEnvError);
      expect(error.message).to.contain("actors-broken-module").and.contain("not in a worker");
    });

    it("times out with what an actor waits for that has no place, and with the signal's reason", async () => {
      const nowhere = RemoteUnplaceable.remote();
      const error = await rejection(ready(nowhere, { timeoutMs: 1_500 }));
      expect(error).to.be.instanceOf(TimeoutError);
      expect(error.message).to.contain("Unplaceable").and.contain("unobtainium");
      const stop = new AbortController();
      const waiting = rejection(ready(nowhere, { signal: stop.signal }));
      stop.abort(new Error("enough"));
      expect((await waiting).message).to.equal("enough");
      await kill(nowhere);
      expect(await rejection(ready(nowhere))).to.be.instanceOf(ActorDiedError);
    });
  });

  describe("kill()", () => {
    it("ends it at once; pending and later calls fail, and again is no error", async () => {
      const mortal = RemoteMortal.options({ maxRestarts: 3 }).remote();
      const pid = await get(mortal.pid.remote());
      const hanging = rejection(get(mortal.hang.remote()));
      const queued = rejection(get(mortal.pid.remote()));
      await kill(mortal);
      for (const error of [await hanging, await queued, await rejection(get(mortal.pid.remote()))]) {
        expect(error).to.be.instanceOf(ActorDiedError);
        expect(error.message).to.contain("kill()");
      }
      await eventually(() => !isRunning(pid), "its process ends");
      await kill(mortal);
      expect(await rejection(ready(mortal))).to.be.instanceOf(ActorDiedError);
    });

    it("of an actor that is not made yet keeps it from being made", async () => {
      const mortal = RemoteMortal.remote();
      const call = rejection(get(mortal.pid.remote()));
      await kill(mortal);
      expect(await call).to.be.instanceOf(ActorDiedError);
    });

    it("with restart brings it back as a new incarnation, as often as maxRestarts allows", async () => {
      const mortal = RemoteMortal.options({ maxRestarts: 1 }).remote();
      const [pid, epoch] = await get([mortal.pid.remote(), mortal.epoch.remote()]);
      await kill(mortal, { restart: true });
      await eventually(
        async () => (await get(mortal.pid.remote()).catch(() => pid)) !== pid,
        "it comes back",
      );
      expect(await get(mortal.epoch.remote())).to.be.greaterThan(epoch ?? Infinity);
      await kill(mortal, { restart: true });
      const error = await eventually(
        () =>
          get(mortal.pid.remote()).then(
            () => undefined,
            (e: Error) => e instanceof ActorDiedError && e,
          ),
        "it does not come back a second time",
      );
      expect(error.cause).to.be.instanceOf(WorkerCrashedError);
    });
  });

  describe("a process that dies", () => {
    it("fails its calls with ActorDiedError and the cause where it will not come back", async () => {
      const mortal = RemoteMortal.remote();
      const pid = await get(mortal.pid.remote());
      const calls: Promise<unknown>[] = [get(mortal.die.remote()), get(mortal.pid.remote())];
      const ends = calls.map((call) => rejection(call));
      await Promise.all(ends);
      for (const error of [...(await Promise.all(ends)), await rejection(ready(mortal))]) {
        expect(error).to.be.instanceOf(ActorDiedError);
        expect(error.cause).to.be.instanceOf(WorkerCrashedError);
        expect((error.cause as WorkerCrashedError).detail).to.deep.include({ pid, signal: "SIGKILL" });
      }
      const later = await rejection(get(mortal.pid.remote()));
      expect(later).to.be.instanceOf(ActorDiedError);
      expect(later.message).to.contain("SIGKILL");
    });

    it("fails calls in flight with ActorUnavailableError where it comes back; later calls work", async () => {
      const mortal = RemoteMortal.options({ maxRestarts: 2 }).remote();
      const file = test.file("in-flight");
      for (let n = 1; n <= 2; n++) {
        const pid = await get(mortal.pid.remote());
        const hanging = mortal.hangNoting.remote(file);
        await eventually(() => linesOf(file).length === n, "the call begins");
        process.kill(pid, "SIGKILL");
        expect(await rejection(get(hanging))).to.be.instanceOf(ActorUnavailableError);
        expect(await get(mortal.pid.remote())).not.to.equal(pid);
      }
      process.kill(await get(mortal.pid.remote()), "SIGKILL");
      await eventually(
        () =>
          get(mortal.pid.remote()).then(
            () => false,
            (e: Error) => e instanceof ActorDiedError,
          ),
        "its restarts are used up",
      );
    });

    it("makes it anew, from its first arguments", async () => {
      const counter = RemoteCounter.options({ maxRestarts: 1 }).remote(valueAfter.remote(5, 10));
      expect(await get(counter.add.remote(10))).to.equal(15);
      process.kill(await get(counter.pid.remote()), "SIGKILL");
      await eventually(
        () =>
          get(counter.value.remote()).then(
            (n) => n === 5,
            () => false,
          ),
        "it starts from 5",
      );
    });

    it("is also process.exit() in a method, whose code is told", async () => {
      const mortal = RemoteMortal.remote();
      const error = await rejection(get(mortal.exitProcess.remote(7)));
      expect(error).to.be.instanceOf(ActorDiedError);
      expect((error.cause as WorkerCrashedError).detail).to.include({ exitCode: 7 });
      const again = RemoteMortal.options({ maxRestarts: 1, maxTaskRetries: 1 }).remote();
      const twice = await rejection(get(again.exitProcess.remote(0)));
      expect(twice).to.be.instanceOf(ActorDiedError);
    });

    it("shows its last words", async () => {
      const error = await rejection(get(RemoteMortal.remote().die.remote()));
      expect((error.cause as WorkerCrashedError).detail["stderr"]).to.include("last words");
    });
  });

  describe("exitActor()", () => {
    it("ends it after the call, for good; the call, those that wait and later ones say so", async () => {
      for (const leave of ["leave", "leaveLater"] as const) {
        const mortal = RemoteMortal.options({ maxRestarts: Infinity, maxTaskRetries: Infinity }).remote();
        const pid = await get(mortal.pid.remote());
        const calls: Promise<unknown>[] = [
          get(mortal[leave].remote()),
          get(mortal.pid.remote()),
          get(mortal.pid.remote()),
        ];
        for (const error of await Promise.all(calls.map((call) => rejection(call))))
          expect(error, leave).to.be.instanceOf(ActorDiedError);
        expect(await rejection(get(mortal.pid.remote()))).to.be.instanceOf(ActorDiedError);
        await eventually(() => !isRunning(pid), "its process ends");
      }
    });

    it("runs none of the calls that wait", async () => {
      const file = test.file("leave");
      const diarist = RemoteDiarist.remote(file);
      const refs = [diarist.note.remote("before"), diarist.leave.remote(), diarist.note.remote("after")];
      await Promise.allSettled(refs.map((ref) => get<void>(ref)));
      await eventually(() => linesOf(file).at(-1)?.startsWith("deactivated"), "it ends");
      expect(linesOf(file)).to.include("before").and.not.include("after");
    });
  });

  it("shows an actor its context in the constructor and in onActivate", async () => {
    const file = test.file("diary");
    await ready(RemoteDiarist.remote(file));
    expect(linesOf(file)).to.deep.equal(["constructor true", "activated true"]);
  });

  it("leaves other actors and their calls alone", async () => {
    const recorder = RemoteRecorder.remote();
    const refs = Array.from({ length: 10 }, (_, i) => recorder.noteSlowly.remote("x", i));
    await rejection(get(RemoteMortal.remote().die.remote()));
    expect(await get(refs)).to.have.length(10);
  });
});
