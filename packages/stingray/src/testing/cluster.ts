/** A cluster in one line inside a test: a broker, agents and workers of its own, with this process as the driver. */
import { join } from "node:path";
import { connectBroker } from "@stingray/broker/connect";
import { InvalidArgumentError, type NodeView } from "@stingray/protocol";
import { processState } from "@stingray/task/internal";
import type { Cluster } from "../cluster.js";
import { init, initBy, isInitialized, shutdown } from "../init.js";
import type { InitOptions, NodeOptions } from "../init-options.js";
import { jobOf } from "../job.js";
import { Agents } from "./agents.js";
import { placeOf } from "./ask.js";
import { membershipOf } from "./driver.js";
import { TestClock } from "./clock.js";
import { eventually, type EventuallyOptions } from "@stingray/protocol/testing";
import { collectGarbage } from "./garbage.js";
import { keepAlive } from "./keep-alive.js";
import { heldByNodes, rowsOfDeadJobs } from "./leaks.js";
import { Members } from "./members.js";
import type { LineFaults } from "./network/line.js";
import type { TestBroker } from "./broker.js";
import type { TestNode } from "./node.js";
import { checkTestOptions, initOptionsOf, type TestClusterOptions } from "./options.js";
import type { TestProcess } from "./processes.js";

/**
 * Starts a cluster for a test, and joins it with this process. End it with `await using`, or with `end()` in an `after`
 * hook: also where a test fails, all of it goes.
 *
 * @throws InvalidOptionError; InvalidArgumentError where this process is part of a cluster already; ConnectionError where
 * something does not start. Nothing is left behind then.
 */
export async function testCluster(options: TestClusterOptions = {}): Promise<TestCluster> {
  // As in init(): what stands below it is the test's own.
  if (processState.isWorker) return init().then(() => TestCluster.start(options));
  return TestCluster.start(options);
}

/** A cluster of a test, and what can happen to it. */
export class TestCluster implements AsyncDisposable {
  private joined: Cluster | undefined;
  private ending: Promise<void> | undefined;
  private readonly letGo = keepAlive();
  private readonly agents: Agents;

  private constructor(
    private readonly options: TestClusterOptions,
    private readonly members: Members,
  ) {
    this.agents = new Agents(() => members.asked);
    this.clock = new TestClock(this.agents);
  }

  /** @internal See {@link testCluster}. */
  static async start(options: TestClusterOptions): Promise<TestCluster> {
    checkTestOptions(options);
    if (options.driver !== false && isInitialized())
      throw new InvalidArgumentError(
        "testCluster(): this process is part of a cluster already; end() that or shutdown() first, or give driver: false",
      );
    const test = new TestCluster(options, new Members(options));
    try {
      if (options.driver === false) {
        await test.members.start(undefined);
        await test.seesAll();
      } else await test.enter(options, true);
      return test;
    } catch (error) {
      await test.end().catch(() => undefined); // it is the first error that tells
      throw error;
    }
  }

  /** In the order of the options, then as they were added. */
  get nodes(): readonly TestNode[] {
    return this.members.nodes;
  }

  /** The only one, or that of this number. @throws InvalidArgumentError where there is none */
  node(index = 0): TestNode {
    const found = this.nodes[index];
    if (found === undefined)
      throw new InvalidArgumentError(`node(${index}): the cluster has ${this.nodes.length} nodes, from 0`);
    return found;
  }

  /** Of reminders and delayed calls; see option `clock`. */
  readonly clock: TestClock;

  get broker(): TestBroker {
    return this.members.broker;
  }

  /** The line of this process to the broker. Its sockets to its own node stay. */
  get driver(): LineFaults {
    return this.members.driverLine;
  }

  /** What `init()` gives. @throws InvalidArgumentError with `driver: false`, and after `shutdown()` */
  get cluster(): Cluster {
    if (this.joined === undefined)
      throw new InvalidArgumentError("this process is no driver of the test cluster: join() it");
    return this.joined;
  }

  /** For files of the test; it goes with the cluster. */
  get directory(): string {
    return this.members.filesDir;
  }

  /** The path of a file in {@link directory}. */
  file(name: string): string {
    return join(this.directory, name);
  }

  /** What a program must have in its environment to use the cluster, and to be ended with it. */
  get env(): Record<string, string> {
    return this.members.env;
  }

  /** This process becomes a driver with a job of its own; leaves with `shutdown()`. */
  async join(options: Pick<InitOptions, "namespace" | "runtimeEnv" | "logToDriver"> = {}): Promise<Cluster> {
    await shutdown();
    return this.enter({ ...this.options, ...options }, false);
  }

  /** One more node, with what the others have unless given. Resolves when the node that is asked sees it. */
  async addNode(options: NodeOptions = {}): Promise<TestNode> {
    const node = await this.members.addNode(options);
    await this.seesAll();
    return node;
  }

  /** Has a node leave in order: what runs there ends or moves first. @throws Error where it takes above 20 s */
  async removeNode(node: TestNode): Promise<void> {
    await node.leave();
  }

  /** The node where an actor lives, as soon as it does. @throws InvalidArgumentError where it is none of this cluster */
  async nodeOf(handle: unknown): Promise<TestNode> {
    const { node, name } = await placeOf(handle);
    const found = this.nodes.find(({ id }) => id === node);
    if (found === undefined)
      throw new InvalidArgumentError(`${name} is on ${node}, which this cluster does not have`);
    return found;
  }

  /** The process where an actor lives, as soon as it does, to kill or to pause. */
  async processOf(handle: unknown): Promise<TestProcess> {
    const { pid, name } = await placeOf(handle);
    return this.members.processes.of(pid, `the process of ${name}`);
  }

  /** Waits until one node, the driver's if this process is a driver, sees exactly so many nodes alive. @throws Error after the time */
  async sees(count: number, o: Pick<EventuallyOptions, "timeoutMs"> = {}): Promise<NodeView[]> {
    return eventually(
      async () => {
        const alive = (await this.views()).filter(({ state }) => state === "ALIVE");
        if (alive.length !== count) throw new Error(`${alive.length} nodes live`);
        // Others may see a node before it has told us what it is called now.
        const known = new Set<string>(this.nodes.map(({ id }) => id));
        const isNew = alive.some(({ node }) => !known.has(node));
        if (isNew && this.nodes.some(({ isStarting }) => isStarting)) throw new Error("one is just starting");
        return alive;
      },
      { message: `${count} nodes live`, ...o },
    );
  }

  /**
   * Waits until the cluster has declared a node dead that stands still, is cut off or was killed: 5 s after its last
   * sign of life unless `deadAfterMs` says otherwise.
   * @throws Error after the time; also where it was never part of the cluster, or no other node could give it up
   */
  async givesUp(node: TestNode, o: Pick<EventuallyOptions, "timeoutMs"> = {}): Promise<void> {
    const { id } = node;
    await eventually(
      async () => {
        const view = (await this.views({ but: node })).find((one) => one.node === id);
        // Rows of dead ones are removed some time.
        return view === undefined ? this.agents.knows(id) : view.state === "DEAD";
      },
      {
        message: `node ${node.index} (${id}) is declared dead`,
        ...o,
      },
    );
  }

  /** Undoes every pause, cut and delay, and starts the broker if it is down. Killed nodes stay dead. */
  heal(): Promise<void> {
    return this.members.heal();
  }

  /**
   * What there is that should not be when all work has ended, in words: resources that are not free, bytes of objects,
   * demands that wait, rows of jobs that are over. References of this process that are garbage are collected first.
   */
  async leaks(): Promise<string[]> {
    collectGarbage();
    await new Promise(setImmediate);
    const isUp = this.nodes.some(({ state }) => state === "up");
    const held = isUp ? heldByNodes(await this.views()) : [];
    const { subjects, storage } = this.members;
    const connection = await connectBroker({ ...this.broker.options, name: "stingray test kit" });
    try {
      return [...held, ...(await rowsOfDeadJobs(connection, subjects, storage))];
    } finally {
      await connection.close();
    }
  }

  /** Waits until there are no {@link leaks}. @throws Error naming them. @defaultValue 15000 ms */
  async expectIdle(o: Pick<EventuallyOptions, "timeoutMs"> = {}): Promise<void> {
    await eventually(
      async () => {
        const leaks = await this.leaks();
        if (leaks.length > 0) throw new Error(leaks.join("; "));
        return true;
      },
      { message: "everything is free again", intervalMs: 50, ...o },
    );
  }

  /** Processes of the cluster that run, this one and the broker apart. Empty where the system has no /proc. */
  processes(): { pid: number; command: string }[] {
    return this.members.processes.running();
  }

  /**
   * Ends all of it, whatever state it is in. Idempotent.
   * @throws Error naming what did not end by itself, or what was left behind; it is removed then
   */
  end(): Promise<void> {
    this.ending ??= this.endAll();
    return this.ending;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.end();
  }

  private async enter(options: TestClusterOptions, first: boolean): Promise<Cluster> {
    const { members } = this;
    const given = initOptionsOf(options);
    this.joined = await initBy(async (initOptions, driver) => {
      const job = jobOf(initOptions, driver, undefined);
      if (first) await members.start(job);
      const membership = membershipOf(members.driverPlace, job);
      return { ...membership, endProgram: () => this.end() };
    }, given);
    await this.seesAll();
    return this.joined;
  }

  private async views(o: { but?: TestNode | undefined } = {}): Promise<NodeView[]> {
    return this.agents.nodes({ preferred: processState.runtime?.home.node, ...o });
  }

  private async seesAll(): Promise<void> {
    await this.sees(this.nodes.filter(({ state }) => state === "up").length);
  }

  private async endAll(): Promise<void> {
    const errors: unknown[] = [];
    const attempt = async (work: () => Promise<unknown>): Promise<void> => {
      try {
        await work();
      } catch (error) {
        errors.push(error);
      }
    };
    // Nodes that stand still or are cut off can't end in order.
    await attempt(() => this.members.heal());
    if (this.joined !== undefined) await attempt(() => shutdown());
    await this.agents.close();
    await attempt(() => this.members.end());
    this.letGo();
    if (errors.length === 1) throw errors[0];
    if (errors.length > 1) throw new AggregateError(errors, errors.map(String).join("; "));
  }
}
