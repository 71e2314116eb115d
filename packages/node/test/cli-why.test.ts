import {
  agentWhy,
  newActorId,
  newDriverId,
  newGroupId,
  newJobId,
  newNodeId,
  newWorkerId,
  startOptions,
  taskIdOf,
  objectIdOf,
  type AgentWhy,
  type GroupView,
  type TaskWhy,
} from "@stingray/protocol";
import { expect } from "chai";
import type { Asked } from "../src/cli/ask-nodes.js";
import { describeDemand, groupDemand } from "../src/cli/demand-text.js";
import { describeWaits } from "../src/cli/waits-text.js";
import { describeTrace } from "../src/cli/why-text.js";
import { traceWhy, type AskWhy, type WhyTrace } from "../src/cli/why-trace.js";
import { someView } from "./support/stand-ins.js";

const [driver, worker] = [newDriverId(), newWorkerId()];
const [first, second] = [someView(newNodeId()), someView(newNodeId())];

function task(sequence: number, more: Partial<TaskWhy>): TaskWhy {
  const id = taskIdOf(driver, sequence);
  return {
    task: id,
    name: "train",
    phase: "queued",
    phaseMs: 5_000,
    attempt: 1,
    attempts: 4,
    failures: [],
    ...more,
  };
}

/** The driver is served by the first node, its worker lives on the second. */
function cluster(known: TaskWhy[], more: Partial<AgentWhy> = {}, worked: Partial<AgentWhy> = {}): AskWhy {
  return (about, process = about.split(".")[0] ?? "") => {
    const found = known.find((one) => one.task === about);
    const here = (asked: string, answer: Partial<AgentWhy>): AgentWhy =>
      process === asked ? { process: { process: asked, state: "here" }, ...answer } : {};
    const answers: Asked<AgentWhy>[] = [
      { node: first, kind: "answered", answer: here(driver, { ...(found && { task: found }), ...more }) },
      {
        node: second,
        kind: "answered",
        answer: here(worker, { process: { process: worker, pid: 7, state: "here" }, ...worked }),
      },
    ];
    for (const one of answers) if (one.kind === "answered") agentWhy(structuredClone(one.answer), "answer");
    return Promise.resolve(answers);
  };
}

const textOf = async (about: string, ask: AskWhy): Promise<string> =>
  describeTrace(await traceWhy(about, ask));

describe("stingray why", () => {
  const shape = { resources: { GPU: 1 }, labels: { zone: "b" } };
  const queue = { key: "k", shape, ahead: 3, length: 9, leases: 0 };

  it("answers in its first line, then with the facts, the nodes, what was tried and what to do", async () => {
    const failures = [{ agoMs: 2_000, message: "the worker died" }];
    const demand = {
      want: 2,
      waitingMs: 4_000,
      reason: "not shown where the nodes say it",
      infeasible: true,
      trail: [{ agoMs: 1_500, whom: second.node, kind: "offer", answer: "needs GPU: 1, 0 of 2 free" }],
      nodes: [{ node: second.node, fit: "never" as const, reason: "needs GPU: 1, this node has none" }],
      more: 1,
    };
    const text = await textOf(
      taskIdOf(driver, 1),
      cluster([task(1, { queue, failures, attempt: 2 })], { demand }),
    );
    const lines = text.split("\n");
    expect(lines[0]).to.equal(
      `Task ${driver}.1 (train) waits for a worker with { GPU: 1 } with labels zone=b: no node of the cluster could ever have it.`,
    );
    expect(lines).to.include.members([
      `  owner    ${driver} (on node ${first.node})`,
      "  queued   for 5 s",
      "  queue    3 tasks before it, 9 in all; no worker leased for them",
      "  attempt  2 of at most 4",
      "  failed   2 s ago: the worker died",
      "  demand   2 workers asked for, for 4 s; INFEASIBLE",
      `  ${second.node}  can't  needs GPU: 1, this node has none`,
      "  and 1 more node",
      `  1.5 s ago  offer  ${second.node}  needs GPU: 1, 0 of 2 free`,
      "It stays queued until a node joins that can: stingray start --gpus 1 --labels zone=b, or ask for what there is.",
    ]);
  });

  it("follows what is waited for, from argument to task to the tasks that these wait for, and not in circles", async () => {
    const missing = [
      { object: objectIdOf(driver, 2, 0), owner: driver, name: "load", phase: "sent" as const },
      { object: objectIdOf(driver, 3, 0), owner: driver },
    ];
    const at = { process: worker, node: second.node, ahead: 0 };
    const known = [task(1, { phase: "waiting", missing }), task(2, { name: "load", phase: "sent", at })];
    const running = { state: "waiting" as const, ahead: 0, ms: 3_000, awaits: taskIdOf(driver, 1) };
    const text = await textOf(objectIdOf(driver, 1, 0), cluster(known, {}, { running }));
    expect(text)
      .to.contain(
        `Task ${driver}.1 (train) waits for its argument ${driver}.2.0 (of load, which is sent) and 1 more.`,
      )
      .and.to.contain(
        `and that: Task ${driver}.2 (load) has begun 3 s ago in process ${worker} (pid 7 on node ${second.node}) and awaits values, among them of task ${driver}.1.`,
      );
    expect(text.match(/and that/g), "back at the first").to.have.length(1);
  });

  it("follows a call that waits for its turn to the one that has it", async () => {
    const at = { process: worker, node: second.node, ahead: 0 };
    const known = [
      task(1, { name: "Bank.pay", phase: "sent", at }),
      task(2, { name: "load", phase: "backoff" }),
    ];
    const running = { state: "queued" as const, ahead: 0, ms: 0, behind: taskIdOf(driver, 2) };
    const text = await textOf(taskIdOf(driver, 1), cluster(known, {}, { running }));
    expect(text).to.contain(`behind call ${driver}.2, which has the turn`).and.to.contain("and that: ");
  });

  it("tells a process that does not answer from one that is gone, and from one that knows nothing of it", async () => {
    const id = taskIdOf(driver, 1);
    expect(await textOf(id, cluster([]))).to.contain(`has never submitted ${id}`);
    const silent: AskWhy = () =>
      Promise.resolve([
        { node: first, kind: "answered", answer: { process: { process: driver, state: "silent" } } },
      ]);
    expect(await textOf(id, silent)).to.match(/does not answer: it may be in a loop that never yields/);
    const gone: AskWhy = () => Promise.resolve([{ node: first, kind: "answered", answer: {} }]);
    expect(await textOf(id, gone)).to.match(/is not in this cluster: it has ended, and its tasks with it/);
    const partly: AskWhy = () =>
      Promise.resolve([
        { node: first, kind: "answered", answer: {} },
        { node: second, kind: "failed", reason: "no answer within 5000 ms" },
      ]);
    expect(await textOf(id, partly))
      .to.match(/is on none of the nodes that answer/)
      .and.to.contain(`${second.node}: no answer within 5000 ms`);
  });

  it("says where an actor is, or why it has no place", () => {
    const actor = newActorId();
    const base = {
      actor,
      className: "Model",
      job: newJobId(),
      creator: driver,
      restarts: 1,
      maxRestarts: 3,
      placement: { resources: { GPU: 2 } },
    };
    const say = (more: object): string => {
      const trace: WhyTrace = {
        steps: [{ about: actor, actor: { ...base, state: "PENDING", ...more } }],
        silent: [],
      };
      return describeTrace(trace);
    };
    const wait = { want: 1, waitingMs: 9_000, reason: `node ${first.node} is full`, infeasible: false };
    expect(say({ wait: { ...wait, trail: [], nodes: [], more: 0 } })).to.contain(
      `Actor ${actor} (Model) is PENDING: it waits for a place with { GPU: 2 }: node ${first.node} is full.`,
    );
    expect(say({ node: second.node, name: "m" })).to.contain(
      `(Model "m") is PENDING: node ${second.node} has a place for it, and starts a process.`,
    );
    expect(say({ hosted: { node: second.node, state: "starting", process: worker } })).to.contain(
      `its constructor run, in process ${worker} on node ${second.node}.`,
    );
    expect(say({ state: "DEAD", cause: "kill() was called" })).to.contain("is dead: kill() was called.");
    expect(say({ state: "ALIVE", node: second.node, process: worker })).to.contain("it waits for nothing");
  });

  it("says what a placement group waits for, also for the tasks in it", async () => {
    const group = newGroupId();
    const view: GroupView = {
      group,
      job: newJobId(),
      detached: false,
      namespace: "n",
      strategy: "STRICT_SPREAD",
      bundles: [{ CPU: 1 }, { CPU: 1, GPU: 1 }],
      state: "RESCHEDULING",
      nodes: [first.node, ""],
      revision: 7,
      cause: { code: "UNSCHEDULABLE", message: "no node has GPU: 1" },
    };
    const shape = {
      resources: { CPU: 1 },
      scheduling: { kind: "group" as const, group, bundle: 1, capture: false },
    };
    const queue = { key: "k", shape, ahead: 0, length: 1, leases: 0, reason: "bundle 1 was lost" };
    const text = await textOf(taskIdOf(driver, 1), (about, process) =>
      about === group
        ? Promise.resolve([
            { node: first, kind: "answered", answer: { group: { ...view, state: "PENDING", revision: 3 } } },
            { node: second, kind: "answered", answer: { group: view } },
          ])
        : cluster([task(1, { queue })])(about, process),
    );
    const at = text.indexOf("and that: ");
    expect(text.slice(0, at)).to.contain("waits for a worker with { CPU: 1 }: bundle 1 was lost.");
    expect(text.slice(at).split("\n")).to.deep.equal([
      `and that: Placement group ${group} is RESCHEDULING, as bundles were lost with their nodes: no node has GPU: 1.`,
      "  strategy STRICT_SPREAD",
      `  bundle 0  { CPU: 1 }          on node ${first.node}`,
      "  bundle 1  { CPU: 1, GPU: 1 }  no node",
    ]);
  });

  it("lists all that waits, the longest first, and who does not answer", () => {
    const one = { count: 3, names: ["a", "b", "c", "d"], example: taskIdOf(driver, 9), ms: 1_000 };
    const text = describeWaits({
      cluster: "default",
      servers: ["nats://x:1"],
      nodes: [
        {
          node: first,
          kind: "answered",
          answer: {
            processes: [
              {
                process: driver,
                tasks: [
                  { ...one, phase: "waiting" },
                  { ...one, phase: "queued", ms: 70_000, shape, reason: "busy", infeasible: true },
                ],
              },
            ],
            silent: [worker],
            actors: [],
          },
        },
        { node: second, kind: "failed", reason: "no answer" },
      ],
    });
    expect(text.split("\n")).to.deep.equal([
      'Cluster "default" on nats://x:1: waiting, the longest first:',
      "  3 tasks (a, b, c and 1 more) wait for { GPU: 1 } with labels zone=b: busy (INFEASIBLE: no node could ever do it)",
      `    for 70 s, by ${driver}; more: stingray why ${driver}.9`,
      "  3 tasks (a, b, c and 1 more) wait for arguments",
      `    for 1 s, by ${driver}; more: stingray why ${driver}.9`,
      `Process ${worker} on node ${first.node} does not answer: it may be in a loop that never yields, or stopped.`,
      `Node ${second.node} does not answer: no answer`,
    ]);
    expect(describeWaits({ cluster: "c", servers: [], nodes: [] })).to.match(/nothing waits/);
  });
});

describe("the demand that status shows", () => {
  const job = newJobId();

  it("is one line per shape, job and kind of wait, with the longest time and its reason", () => {
    const groups = groupDemand([
      { shape: { CPU: 1, x: 2 }, count: 2, reason: "younger", waitingMs: 2_000, job },
      { shape: { x: 2, CPU: 1 }, count: 3, reason: "older", waitingMs: 90_000, job },
      { shape: { CPU: 1, x: 2 }, count: 1, reason: "", job: newJobId() },
      { shape: { CPU: 1, x: 2 }, count: 4, reason: "nobody has x", waitingMs: 5_000, job, infeasible: true },
    ]);
    expect(groups.map(({ count, reason }) => [count, reason])).to.deep.equal([
      [5, "older"],
      [4, "nobody has x"],
      [1, ""],
    ]);
    const [busy, infeasible, underWay] = groups.map(describeDemand);
    expect(busy).to.equal(`  5 x { CPU: 1, x: 2 }, for 90 s, job ${job}: busy\n      older`);
    expect(infeasible).to.contain(
      `INFEASIBLE: waits for a node that can (stingray start --cpus 1 --resources '{"x":2}')\n      nobody has x`,
    );
    expect(underWay).to.match(/under way$/);
  });

  it("says which node would do, as far as options can", () => {
    const labels = { zone: "b", disk: "!hdd", rack: "in(1, 2)" };
    expect(startOptions({ resources: { GPU: 0.5, memory: 1024, CPU: 0, a: 1 }, labels })).to.equal(
      `--gpus 1 --memory 1024 --resources '{"a":1}' --labels zone=b`,
    );
  });
});
