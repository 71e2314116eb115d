/** A node that is drained while it is in use: nothing is lost, and nothing runs twice. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import {
  ActorDiedError,
  ActorUnavailableError,
  WorkerCrashedError,
  get,
  nodes,
  put,
  ready,
  wait,
  type ObjectRef,
} from "stingray";
import { eventually } from "stingray/testing";
import { Counter, again, block, lend, once } from "./fixtures/drain-tasks.js";
import { ClusterByHand, type HandMade } from "./support/by-hand.js";
import type { Ended, Program } from "./support/program.js";

const MIB = 1024 * 1024;
const ROOMY = ["--object-store-memory", "512MiB"];

describe("a node that is drained", function () {
  this.timeout(60_000);
  let cluster: ClusterByHand;
  let victim: HandMade;
  let files = 0;
  before(async () => {
    cluster = await ClusterByHand.start(ROOMY, ROOMY);
    await cluster.join();
  });
  beforeEach(async () => {
    victim = await cluster.node(...ROOMY, "--resources", '{"here":100}', "--drain", "60");
    await cluster.sees(3);
  });
  afterEach(async () => {
    victim.command.signal("SIGKILL");
    await victim.command.ended();
  });
  after(() => cluster.end());

  const file = (): string => join(cluster.sandbox.directory, `notes-${files++}`);
  const lines = (path: string): string[] =>
    existsSync(path) ? readFileSync(path, "utf8").trimEnd().split("\n") : [];
  const drain = (node: string, ...args: string[]): Program =>
    cluster.sandbox.stingray(["drain", node, ...args], cluster.settings);
  /** Its exit code, once the node has left. */
  async function drained(made: HandMade, ...args: string[]): Promise<{ code: number | null; said: string }> {
    const command = drain(made.node, ...args);
    const { code } = await command.ended();
    expect(await made.command.ended()).to.deep.equal({ code: 0, signal: null } satisfies Ended);
    return { code, said: command.stdout + command.stderr };
  }
  const draining = (node: string): Promise<unknown> =>
    eventually(
      async () => (await nodes()).find((one) => one.node === node)?.state === "DRAINING",
      `node ${node} drains`,
    );

  it("has its tasks end, and the rest run elsewhere, each once", async () => {
    const notes = file();
    const refs = Array.from({ length: 60 }, (_, i) => once.remote(i, 100, notes));
    await eventually(() => lines(notes).length > 8, "some have run");
    const { code, said } = await drained(victim);
    expect(said).to.contain("has left");
    expect(code).to.equal(0);
    const results = await get(refs);
    expect(results.map(({ n }) => n)).to.deep.equal(refs.map((_, i) => i));
    expect(new Set(lines(notes)).size).to.equal(60);
    expect(lines(notes).length).to.equal(60);
    await cluster.sees(2);
  });

  it("moves actors, whose calls go on in order and run once", async () => {
    const notes = file();
    const made = Counter.options({
      maxRestarts: 1,
      scheduling: { node: victim.node, soft: true },
    }).remote(notes);
    await ready(made);
    const refs = Array.from({ length: 40 }, (_, i) => made.add.remote(i, 25));
    const first = await get(refs[0] as ObjectRef<{ n: number; node: string }>);
    expect(first.node).to.equal(victim.node);
    const more = (async () => {
      const results = [];
      for (let call = 40; call < 80; call++) results.push(await get(made.add.remote(call, 25)));
      return results;
    })();
    await eventually(() => lines(notes).length > 5, "it has begun");
    const { code, said } = await drained(victim);
    expect(said, victim.command.stderr).to.contain("1 actor moved");
    expect(code).to.equal(0);
    const results = [...(await get(refs)), ...(await more)];
    const moved = results.findIndex(({ node }) => node !== victim.node);
    expect(moved).to.be.greaterThan(0);
    // It began anew where it is now, and each incarnation counted its calls one after another.
    expect(results.map(({ n }) => n)).to.deep.equal(results.map((_, i) => (i < moved ? i : i - moved) + 1));
    const calls = lines(notes).filter((line) => !line.includes("deactivated"));
    expect(calls.map((line) => Number(line.split(" ")[1]))).to.deep.equal(results.map((_, i) => i));
    expect(lines(notes)[moved]).to.equal(`${victim.node} deactivated`);
  });

  it("leaves its objects to others, which can be read when it is gone", async () => {
    const refs = Array.from({ length: 10 }, (_, i) =>
      block.options({ resources: { here: 1 } }).remote(i, 20 * MIB),
    );
    const [lent] = await get(lend.options({ resources: { here: 1 } }).remote(9));
    await wait(refs, { count: refs.length });
    const waiting = drain(victim.node, "--deadline", "60");
    await eventually(
      () => waiting.stderr.includes("draining: 1 worker that owns objects"),
      "the rest has moved",
    );
    const { code, said } = await drained(victim, "--deadline", "0");
    expect(said).to.contain("10 objects (200 MiB) moved");
    // What belongs to its own worker can't be moved, and it says so.
    expect(said).to.contain("1 worker with objects that others hold references to");
    expect(code).to.equal(1);
    expect((await waiting.ended()).code).to.equal(1);
    for (const [i, ref] of refs.entries()) {
      const value = await get(ref);
      expect([value.length, value[0], value.at(-1)]).to.deep.equal([20 * MIB, i, i]);
      ref.release();
    }
    lent?.release();
  });

  it("ends what still runs at the deadline; what may runs again elsewhere", async () => {
    const notes = file();
    const options = { resources: { here: 1 } };
    const pinned = Counter.options(options).remote(notes);
    await ready(pinned);
    const movable = Counter.options({ maxRestarts: 1, scheduling: { node: victim.node, soft: true } }).remote(
      notes,
    );
    expect((await get(movable.add.remote(0, 0))).node).to.equal(victim.node);
    const begun = movable.add.remote(1, 600_000);
    const behind = movable.add.remote(2, 0);
    const stuck = once.options(options).remote(1, 600_000, notes);
    const soft = again.options({ scheduling: { node: victim.node, soft: true } }).remote(2, notes);
    await eventually(() => lines(notes).length === 3, "both run");
    const command = drain(victim.node, "--deadline", "60");
    await draining(victim.node);
    const { code, said } = await drained(victim, "--deadline", "0.2");
    expect((await command.ended()).code).to.equal(1);
    expect(said).to.contain("still ran tasks at the deadline");
    expect(said).to.contain("1 actor that could not move");
    expect(code).to.equal(1);
    const error = await get(stuck).catch((thrown: unknown) => thrown);
    expect(error).to.be.instanceOf(WorkerCrashedError);
    expect((error as Error).message).to.contain("was drained");
    expect(await get(soft)).not.to.equal(victim.node);
    // The call that had begun is not run again; the one behind it runs on the actor's next node.
    expect(await get(begun).catch((thrown: unknown) => thrown)).to.be.instanceOf(ActorUnavailableError);
    expect(await get(behind))
      .to.include({ n: 1 })
      .and.not.include({ node: victim.node });
    const died = await get(pinned.add.remote(1, 0)).catch((thrown: unknown) => thrown);
    expect(died).to.be.instanceOf(ActorDiedError);
    expect((died as Error).message)
      .to.contain("was drained")
      .and.to.contain("maxRestarts 0");
  });

  it("drains by SIGTERM, too; a second one ends it at once", async () => {
    const notes = file();
    const options = { resources: { here: 1 } };
    const short = once.options(options).remote(1, 800, notes);
    once.options(options).remote(2, 600_000, notes).release();
    await eventually(() => lines(notes).length === 2, "both run");
    victim.command.signal("SIGTERM");
    expect((await get(short)).n).to.equal(1);
    expect(victim.command.child.exitCode).to.equal(null);
    victim.command.signal("SIGTERM");
    expect((await victim.command.ended()).code, victim.command.stderr).to.equal(130);
  });

  it("ends at once by SIGTERM where nothing is on it, and is not drained under a wrong name", async () => {
    const wrong = drain("n000000000000");
    expect((await wrong.ended()).code).to.equal(1);
    expect(wrong.stderr).to.contain("there is no live node n000000000000").and.to.contain(victim.node);
    const odd = drain("there");
    expect((await odd.ended()).code).to.equal(2);
    victim.command.signal("SIGTERM");
    expect(await victim.command.ended()).to.deep.equal({ code: 0, signal: null });
  });
});

describe("the node of a driver, which is the controller's, too", function () {
  this.timeout(60_000);
  let cluster: ClusterByHand;
  before(async () => (cluster = await ClusterByHand.start(ROOMY)));
  after(() => cluster.end());

  it("can be drained under it: its objects, actors and tasks go on elsewhere", async () => {
    const [own] = cluster.started;
    expect((await cluster.join()).nodeId).to.equal(own?.node);
    cluster.started.push(await cluster.node(...ROOMY));
    await cluster.sees(2);
    const notes = join(cluster.sandbox.directory, "notes");
    const large: ObjectRef<Uint8Array> = await put(new Uint8Array(8 * MIB).fill(7));
    const counter = Counter.options({
      maxRestarts: Infinity,
      scheduling: { node: own?.node ?? "", soft: true },
    }).remote(notes);
    expect((await get(counter.add.remote(1, 0))).node).to.equal(own?.node);
    const refs = Array.from({ length: 20 }, (_, i) => once.remote(i, 100, notes));
    const command = cluster.sandbox.stingray(["drain", own?.node ?? ""], cluster.settings);
    expect((await command.ended()).code, command.stderr).to.equal(0);
    const [other] = await cluster.sees(1);
    expect((await get(refs)).map(({ n }) => n)).to.deep.equal(refs.map((_, i) => i));
    expect((await get(large))[8 * MIB - 1]).to.equal(7);
    expect(await get(counter.add.remote(2, 0))).to.deep.equal({ n: 1, node: other });
    expect((await get(await put(new Uint8Array(MIB).fill(3))))[5]).to.equal(3);
    expect((await get(once.remote(21, 0, notes))).node).to.equal(other);
  });
});
