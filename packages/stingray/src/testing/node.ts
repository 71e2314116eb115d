/** A node of a test's cluster: its agent is a process that can be killed, paused, and cut off from the broker. */
import type { BrokerOptions } from "@stingray/broker/connect";
import { AgentProcess, announceNode, type AgentReady, type NodePlan } from "@stingray/node/embedded";
import { ConnectionError, newNodeId, toError, type NodeId } from "@stingray/protocol";
import type { DirectLine, Line, LineFaults } from "./network/line.js";
import type { MarkedProcesses, TestProcess } from "./processes.js";

const START_MS = 30_000;
const END_MS = 5_000;
const DRAIN_MS = 20_000;
const AGAIN_MS = 250;

/** What a node needs of its cluster. */
export interface NodePlace {
  readonly processes: MarkedProcesses;
  readonly cluster: string;
  readonly subjectRoot: string;
  readonly runtimeDir: string;
  /** Of the agents. */
  readonly env: NodeJS.ProcessEnv;
  readonly log: ((line: string) => void) | undefined;
}

/**
 * - `up`: its agent runs, or should: one that ends by itself (the cluster had declared it dead) is started again.
 * - `killed`: by {@link TestNode.kill}, until {@link TestNode.restart}.
 * - `left`: it was removed or drained; it does not come back.
 */
export type TestNodeState = "up" | "killed" | "left";

/** A node. What it is called changes with each life, as with `stingray start`. */
export class TestNode implements LineFaults {
  private agent: AgentProcess;
  private ready: AgentReady | undefined;
  private stateNow: TestNodeState = "up";
  private starting: Promise<void> | undefined;
  /** Of all its lives. */
  private readonly lives = new Set<string>();
  private line: Line | DirectLine | undefined;
  private broker: BrokerOptions | undefined;

  /** @internal Forks the agent, which loads its modules while the broker starts. */
  constructor(
    private readonly place: NodePlace,
    /** As a number: in messages, and in `cluster.nodes`. */
    readonly index: number,
    private plan: NodePlan,
  ) {
    this.agent = this.fork();
  }

  /** @internal Joins the cluster. @throws what the agent said, or ConnectionError */
  async join(broker: BrokerOptions, line: Line | DirectLine): Promise<void> {
    this.line = line;
    this.broker = broker;
    await this.begin(this.agent, this.plan.node);
  }

  /** Of its present life, or its last. */
  get id(): NodeId {
    return this.identity.node;
  }

  /** @internal */
  get identity(): AgentReady {
    if (this.ready === undefined) throw new ConnectionError(`node ${this.index} has not started yet`);
    return this.ready;
  }

  /** Of its agent. */
  get pid(): number {
    return this.agent.pid;
  }

  get state(): TestNodeState {
    return this.stateNow;
  }

  /** @internal A new life of it begins. */
  get isStarting(): boolean {
    return this.starting !== undefined;
  }

  /** Its agent as a process. */
  get process(): TestProcess {
    return this.place.processes.of(this.pid, `the agent of node ${this.index}`);
  }

  /** @internal What it, in all its lives, had outside of the cluster's directory. */
  get directories(): readonly string[] {
    return [...this.lives];
  }

  /** Where its objects lie in shared memory. */
  get storeDir(): string {
    return this.identity.storeDir;
  }

  /** Options of a task or an actor for this node. */
  get here(): { scheduling: { node: string } } {
    return { scheduling: { node: this.id } };
  }

  /** Kills its agent as `kill -9` does, and with it the workers. It stays dead until {@link restart}. */
  async kill(): Promise<void> {
    this.stateNow = "killed";
    await this.starting?.catch(() => undefined);
    await this.process.kill();
    await this.agent.stop(0); // removes what it left
  }

  /** Starts it again under a new id, after a `kill` if it runs. Resolves when it is part of the cluster. */
  async restart(): Promise<void> {
    if (this.stateNow !== "killed") await this.kill();
    this.stateNow = "up";
    await this.again();
  }

  /** Stops its agent in its tracks (SIGSTOP), until {@link resume}. Workers go on as far as they need no agent. */
  pause(): Promise<void> {
    return this.process.pause();
  }

  /** Lets it go on. Where it was declared dead meanwhile, it comes back as a new node. */
  resume(): Promise<void> {
    return this.process.resume();
  }

  /** Cuts its workers and its agent off from the broker. Needs `gates`. */
  cut(o: { refuse?: boolean | undefined } = {}): Promise<void> {
    return this.lineNow.cut(o);
  }

  /** Makes its line to the broker slow. Needs `gates`. */
  delay(latencyMs: number, o: { bytesPerSecond?: number | undefined } = {}): Promise<void> {
    return this.lineNow.delay(latencyMs, o);
  }

  /** Goes on after `pause`, `cut` and `delay`. */
  async heal(): Promise<void> {
    await this.lineNow.heal();
    await this.process.resume();
  }

  /** Has it leave in order: what runs ends or moves; then its agent ends. @throws Error where it takes above 20 s */
  async leave(): Promise<void> {
    await this.heal();
    this.stateNow = "left";
    this.agent.drain();
    await this.process.ended({ timeoutMs: DRAIN_MS });
    await this.agent.stop(0);
  }

  /** @internal At once, removing what it leaves. */
  async end(): Promise<void> {
    this.stateNow = "left";
    await this.place.processes.of(this.pid, "an agent").resume();
    await this.agent.stop(END_MS);
    await this.starting?.catch(() => undefined);
    await this.agent.stop(0);
  }

  private get lineNow(): Line | DirectLine {
    if (this.line === undefined) throw new ConnectionError(`node ${this.index} has not started yet`);
    return this.line;
  }

  private fork(): AgentProcess {
    return AgentProcess.fork({ log: this.place.log, env: this.place.env });
  }

  private async begin(agent: AgentProcess, node: NodeId, replaces?: NodeId): Promise<void> {
    const { place, broker, line } = this;
    if (broker === undefined || line === undefined)
      throw new ConnectionError(`node ${this.index} knows no broker`);
    agent.begin({ ...this.plan, node, broker: { ...broker, servers: [line.url] }, replaces });
    const ready = await agent.ready(START_MS);
    agent.keepAlive(false);
    this.ready = ready;
    this.lives.add(ready.storeDir);
    await announceNode(place.runtimeDir, {
      ready,
      pid: agent.pid,
      cluster: place.cluster,
      subjectRoot: place.subjectRoot,
      servers: broker.servers,
      startedBy: "embedded",
    });
    void agent.exited().then(() => this.onEnd(agent));
  }

  /** It ended by itself: declared dead, drained, or killed by the test in its own way. */
  private async onEnd(agent: AgentProcess): Promise<void> {
    await agent.stop(0);
    if (this.stateNow !== "up" || agent !== this.agent) return;
    const { state } = agent;
    if (state.kind === "exited" && state.code === 0) this.stateNow = "left";
    else await this.again().catch(() => undefined);
  }

  private again(): Promise<void> {
    this.starting ??= this.startAgain().finally(() => (this.starting = undefined));
    return this.starting;
  }

  /** Until it is there: its line to the broker may be cut, or the broker down. */
  private async startAgain(): Promise<void> {
    const before = this.ready?.node;
    for (;;) {
      const agent = this.fork();
      this.agent = agent;
      try {
        await this.begin(agent, newNodeId(), before);
        return;
      } catch (thrown) {
        await agent.stop(0);
        if (this.stateNow !== "up") throw thrown;
        this.place.log?.(`node ${this.index} did not come back: ${toError(thrown).message}; trying again`);
      }
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    }
  }
}
