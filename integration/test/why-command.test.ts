/** `stingray why`, `stingray status`, and what a program is told of what waits. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { runCommand } from "@stingray/node/cli";
import { expect } from "chai";
import { cancel, type ObjectRef } from "stingray";
import { eventually } from "stingray/testing";
import { rest, spin, square } from "./fixtures/life-tasks.js";
import { outer } from "./fixtures/why-tasks.js";
import { ClusterByHand } from "./support/by-hand.js";

interface Answer {
  code: number;
  stdout: string;
  stderr: string;
}

describe("why something waits", function () {
  this.timeout(40_000);
  let cluster: ClusterByHand;
  let node: string;

  before(async () => {
    cluster = await ClusterByHand.start([]);
    node = cluster.started[0]?.node ?? "";
  });
  after(() => cluster.end());

  /** In this process, which is faster than one of its own. */
  async function stingray(...args: string[]): Promise<Answer> {
    const said: Answer = { code: 0, stdout: "", stderr: "" };
    said.code = await runCommand(args, {
      say: (text) => (said.stdout += `${text}\n`),
      note: (text) => (said.stderr += `${text}\n`),
    });
    return said;
  }
  async function why(...args: string[]): Promise<string> {
    const { stdout } = await stingray("why", ...args);
    return stdout;
  }

  it("is told where no node can ever do it: once to the program, to status and to why, until a node joins", async () => {
    const program = cluster.sandbox.program("why-program.js", [], cluster.settings);
    const [task, call] = [await program.says("task"), await program.says("call")];
    expect(await program.says("timeout"))
      .to.contain("square waits for a worker with { CPU: 1, special: 1 }")
      .and.to.contain("needs special: 1, this node has none");
    const warnings = (): string[] => program.stderr.split("\n").filter((line) => line !== "");
    await eventually(() => warnings().length === 2, "both are warned of");
    const ofTask = warnings().find((line) => line.includes("(square)")) ?? "";
    expect(ofTask).to.match(
      /^stingray: 1 task \(square\) waits for { CPU: 1, special: 1 }: no node can run it: /,
    );
    expect(ofTask)
      .to.contain("needs special: 1, this node has none")
      .and.to.contain(`stingray start --cpus 1 --resources '{"special":1}'`)
      .and.to.contain(`"stingray why ${task}"`);
    const ofActor = warnings().find((line) => line.includes("actor ")) ?? "";
    const actor = /\((a\w{12})\)/.exec(ofActor)?.[1] ?? "";
    expect(ofActor)
      .to.match(/^stingray: actor KeeperActor \(a\w+\) waits for { special: 1 }: /)
      .and.to.contain("(1 call waits for it)")
      .and.to.contain("needs special: 1, this node has none")
      .and.to.contain(`"stingray why ${actor}"`);

    const status = await stingray("status");
    expect(status.stdout).to.match(/1 x { CPU: 1, special: 1 }, for [\d.]+ m?s, job j\w+: INFEASIBLE/);
    expect(status.stdout).to.match(
      /actor KeeperActor \(a\w+\), which asks for { special: 1 }, .*: INFEASIBLE/,
    );
    expect(await why(task))
      .to.match(
        new RegExp(`^Task ${task} \\(square\\) waits for a worker .*special.*: no node of the cluster`),
      )
      .and.to.match(new RegExp(`${node} +can't +needs special: 1, this node has none`))
      .and.to.contain(`stingray start --cpus 1 --resources '{"special":1}'`);
    expect(await why(call))
      .to.match(/^Call \S+ \(KeeperActor\.where\) waits for its actor: actor KeeperActor/)
      .and.to.match(
        new RegExp(
          `and that: Actor ${actor} \\(KeeperActor\\) is PENDING: it waits for a place with { special: 1 }: no node of`,
        ),
      );
    const all = await why();
    expect(all)
      .to.contain("1 task (square) waits for { CPU: 1, special: 1 }: no node can run it")
      .and.to.contain(`stingray why ${task}`)
      .and.to.contain(`stingray why ${actor}`);

    const joined = await cluster.node("--resources", '{"special":2}');
    cluster.started.push(joined);
    expect(await program.says("square")).to.equal("9");
    expect(await program.says("where")).to.equal(joined.node);
    await program.succeeds();
    expect(warnings(), "nothing was said twice").to.have.length(2);
    expect(await why(task)).to.match(
      /^Process d\w+, which submitted \S+, is not in this cluster: it has ended/,
    );
  });

  it("is told of what runs, what waits for it, what is queued and what is not known", async () => {
    await cluster.join();
    const mark = join(cluster.sandbox.directory, "spins");
    writeFileSync(mark, "");
    const looping: ObjectRef = spin.options({ scheduling: { node } }).remote(mark);
    const busy = rest.options({ scheduling: { node } }).remote(60_000);
    const follows = square.remote(busy as unknown as ObjectRef<number>, 0);
    const queued = square.options({ cpus: 2, scheduling: { node } }).remote(1, 0);
    const step = await eventually(async () => {
      const text = await why(follows.id);
      return text.includes("runs in") || text.includes("awaits") ? text : false;
    }, "the argument's task runs");
    expect(step)
      .to.match(/^Task \S+ \(square\) waits for its argument \S+ \(of rest, which is sent\)/)
      .and.to.match(
        new RegExp(`and that: Task \\S+ \\(rest\\) runs in process w\\w+ \\(pid \\d+ on node ${node}\\)`),
      );
    const { stdout } = await stingray("why", queued.id, "--json");
    const { steps } = JSON.parse(stdout) as {
      steps: {
        task: { phase: string; queue: { ahead: number } };
        demand: { reason: string; infeasible: boolean };
      }[];
    };
    expect(steps[0]?.task).to.deep.include({ phase: "queued", name: "square" });
    expect(steps[0]?.demand.infeasible).to.equal(false);
    expect(steps[0]?.demand.reason).to.contain("CPU: 2");
    const nested = outer.options({ cpus: 0 }).remote(3);
    const inner = await eventually(async () => {
      const text = await why(nested.id);
      return text.includes("and that:") && text;
    }, "the inner task is followed");
    expect(inner)
      .to.match(/^Task \S+ \(outer\) has begun .* awaits values, among them of task w/)
      .and.to.match(/and that: Task w\S+ \(square\) waits for a worker with { CPU: 1, rare: 1 }: no node of/);
    await eventually(() => readFileSync(mark, "utf8") !== "", "the loop has begun");
    expect(await why(looping.id)).to.match(/^Task \S+ \(spin\) is in process w\w+ .* which does not answer/);
    const [process = ""] = busy.id.split(".");
    const never = await stingray("why", `${process}.999999`);
    expect([never.code, never.stdout]).to.deep.equal([
      1,
      `Process ${process} (on node ${/on node (\w+)/.exec(never.stdout)?.[1] ?? ""}) has never submitted ${process}.999999: look at the number again.\n`,
    ]);
    const bad = await stingray("why", "nonsense");
    expect(bad.code).to.equal(2);
    expect(bad.stderr).to.contain("is no id of a task");
    await cancel(looping, { force: true });
    for (const ref of [busy, follows, queued, nested]) await cancel(ref);
  });
});
