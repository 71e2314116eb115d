/**
 * A whole cluster inside one program: a broker and agents as child processes that live and die with it. Agents load
 * their modules while the broker starts, so that a program's first result comes soon.
 */
import { performance } from "node:perf_hooks";
import type { BrokerOptions } from "@stingray/broker/connect";
import { EmbeddedBroker } from "@stingray/broker/server";
import { ConnectionError, DEFAULT_CLUSTER, DEFAULT_SUBJECT_ROOT } from "@stingray/protocol";
import { announceNode } from "../announce.js";
import { prepareRuntimeRoot, runtimeRoot } from "../runtime-files.js";
import { sweepDeadNodes } from "../sweep.js";
import { AgentProcess, type AgentReady } from "./agent-process.js";
import { planNodes, type EmbeddedNodeOptions, type EmbeddedOptions, type NodePlan } from "./options.js";

/** One node of it, and the process of its agent. */
export interface EmbeddedNode extends AgentReady {
  readonly pid: number;
  readonly process: AgentProcess;
}

const START_TIMEOUT_MS = 30_000;
const STOP_TIMEOUT_MS = 5_000;

export class EmbeddedCluster implements AsyncDisposable {
  readonly cluster: string;
  readonly subjectRoot: string;
  private stopping: Promise<void> | undefined;
  private readonly members: EmbeddedNode[] = [];

  private constructor(
    readonly broker: EmbeddedBroker,
    /** See `runtimeRoot()`. */
    readonly runtimeDir: string,
    private readonly options: EmbeddedOptions,
  ) {
    this.cluster = options.cluster ?? DEFAULT_CLUSTER;
    this.subjectRoot = options.subjectRoot ?? DEFAULT_SUBJECT_ROOT;
  }

  /** Starts everything at once. On failure nothing is left. @throws StingrayError, the first thing that went wrong */
  static async start(o: EmbeddedOptions = {}): Promise<EmbeddedCluster> {
    const began = performance.now();
    const trace = (phase: string): void => o.trace?.(phase, performance.now() - began);
    const runtimeDir = await prepareRuntimeRoot(o.runtimeDir ?? runtimeRoot());
    const plans = planNodes(o, runtimeDir);
    const processes = plans.map(() => AgentProcess.fork({ log: o.log, main: o.agentMain }));
    trace("agents forked");
    const brokerStart = EmbeddedBroker.start({
      ...(o.log && { log: o.log }),
      ...(o.natsServer === undefined ? {} : { server: o.natsServer }),
    });
    try {
      const broker = await brokerStart;
      trace("broker ready");
      const cluster = new EmbeddedCluster(broker, runtimeDir, o);
      const nodes = await Promise.all(processes.map((agent, i) => cluster.join(agent, plans[i] as NodePlan)));
      cluster.members.push(...nodes);
      trace("agents ready");
      void sweepDeadNodes(runtimeDir).catch((error: unknown) =>
        o.log?.(`old files in ${runtimeDir} could not be removed: ${String(error)}`),
      );
      return cluster;
    } catch (error) {
      await Promise.all(processes.map((agent) => agent.stop(o.stopTimeoutMs ?? STOP_TIMEOUT_MS)));
      await brokerStart.then(
        (broker) => broker.stop(),
        () => undefined, // it is the error that is thrown
      );
      throw error;
    }
  }

  /** The nodes that were started, those that have died since included, in the order of the options. */
  get nodes(): readonly EmbeddedNode[] {
    return this.members;
  }

  /** How to connect to the broker, credentials included. */
  get brokerOptions(): BrokerOptions {
    return this.broker.options;
  }

  /** Starts one more node. @throws StingrayError where it does not start */
  async addNode(o: EmbeddedNodeOptions = {}): Promise<EmbeddedNode> {
    if (this.stopping !== undefined) {
      throw new ConnectionError("a node can't be added: the embedded cluster was stopped; start another one");
    }
    const [plan] = planNodes({ ...this.options, ...o, nodes: 1, job: undefined }, this.runtimeDir);
    const agent = AgentProcess.fork({ log: this.options.log, main: this.options.agentMain });
    try {
      const node = await this.join(agent, plan as NodePlan);
      this.members.push(node);
      return node;
    } catch (error) {
      await agent.stop(0);
      throw error;
    }
  }

  /**
   * Ends the agents, then the broker, and removes what they leave. Idempotent; a node that does not end by itself in
   * time is killed.
   */
  stop(): Promise<void> {
    this.stopping ??= this.stopAll();
    return this.stopping;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  private async join(agent: AgentProcess, plan: NodePlan): Promise<EmbeddedNode> {
    agent.begin({ ...plan, broker: this.broker.options });
    const ready = await agent.ready(this.options.startTimeoutMs ?? START_TIMEOUT_MS);
    agent.keepAlive(false);
    const node: EmbeddedNode = { ...ready, pid: agent.pid, process: agent };
    await announceNode(this.runtimeDir, {
      ready,
      pid: agent.pid,
      cluster: this.cluster,
      subjectRoot: this.subjectRoot,
      servers: this.broker.options.servers,
      startedBy: "embedded",
    });
    return node;
  }

  private async stopAll(): Promise<void> {
    const timeoutMs = this.options.stopTimeoutMs ?? STOP_TIMEOUT_MS;
    await Promise.all(
      this.members.map(async ({ process: agent, pid, node }) => {
        if (agent.state.kind !== "exited" && !(await agent.stop(timeoutMs))) {
          this.options.log?.(`node ${node} (pid ${pid}) did not end within ${timeoutMs} ms and was killed`);
        } else await agent.stop(0);
      }),
    );
    await this.broker.stop();
  }
}

/** Starts a cluster that ends with this program. See {@link EmbeddedCluster.start}. */
export function startEmbeddedCluster(options: EmbeddedOptions = {}): Promise<EmbeddedCluster> {
  return EmbeddedCluster.start(options);
}
