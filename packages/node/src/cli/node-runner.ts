/**
 * Runs one node for `stingray start`: the agent as a child process, and where asked a nats-server of its own. Both are
 * watched: a nats-server that dies comes back on its port with its data, an agent under a new id.
 */
import type { BrokerOptions } from "@stingray/broker/connect";
import { EmbeddedBroker } from "@stingray/broker/server";
import { ConnectionError, newNodeId, toError, type NodeId } from "@stingray/protocol";
import { announceNode } from "../announce.js";
import { AgentProcess, type AgentReady } from "../embedded/agent-process.js";
import { prepareRuntimeRoot } from "../runtime-files.js";
import { sweepDeadNodes } from "../sweep.js";
import { withoutCredentials } from "./connection-options.js";
import type { StartPlan } from "./start-plan.js";

const START_TIMEOUT_MS = 30_000;
const STOP_TIMEOUT_MS = 10_000;
/** After its deadline, a drain ends what is left, and then the agent. Milliseconds. */
const DRAIN_MARGIN_MS = 5_000;
const BROKER_CHECK_MS = 500;
/** An agent that ended so often within a minute is not started again. */
const MAX_ENDS_PER_MINUTE = 5;

export interface RunningNode {
  readonly ready: AgentReady;
  /** With credentials, where the node has a nats-server of its own. */
  readonly address: string;
  readonly agentPid: number;
}

export class NodeRunner {
  private stopping: Promise<void> | undefined;
  private agent: AgentProcess | undefined;
  private readonly ends: number[] = [];
  private brokerTimer: NodeJS.Timeout | undefined;
  private failed: ((error: Error) => void) | undefined;
  private left: (() => void) | undefined;
  /** Rejects when the node can't go on; settles in no other way. */
  readonly lost: Promise<never>;
  /** Resolves when the node was drained: its agent has ended, and is not started again. */
  readonly drained: Promise<void>;

  private constructor(
    private readonly plan: StartPlan,
    private readonly log: (line: string) => void,
    private readonly broker: EmbeddedBroker | undefined,
    private readonly brokerOptions: BrokerOptions,
  ) {
    this.lost = new Promise((_, reject) => (this.failed = reject));
    this.drained = new Promise((resolve) => (this.left = resolve));
    this.lost.catch(() => undefined); // whoever is interested has a handler of their own
  }

  /** @throws StingrayError where the node can't start; then nothing is left */
  static async start(
    plan: StartPlan,
    log: (line: string) => void,
  ): Promise<{ runner: NodeRunner; node: RunningNode }> {
    await prepareRuntimeRoot(plan.runtimeDir);
    await sweepDeadNodes(plan.runtimeDir);
    const agent = AgentProcess.fork({ log, main: plan.agentMain });
    let broker: EmbeddedBroker | undefined;
    try {
      if (plan.broker.kind === "own") broker = await startBroker(plan.broker, log);
      const options = plan.broker.kind === "join" ? plan.broker.options : broker?.options;
      if (options === undefined) throw new ConnectionError("there is no broker to go to; give --address");
      const runner = new NodeRunner(plan, log, broker, options);
      const ready = await runner.begin(agent, plan.node);
      runner.watchBroker();
      return {
        runner,
        node: { ready, address: addressOf(options, broker !== undefined), agentPid: agent.pid },
      };
    } catch (error) {
      await agent.stop(STOP_TIMEOUT_MS);
      await broker?.stop();
      throw error;
    }
  }

  /**
   * Has the agent drain the node, ends it, then the nats-server, and removes what they leave. Idempotent.
   * @param o `drainMs`: what is there may end or move for so long. @defaultValue that of the plan
   */
  stop(o: { drainMs?: number } = {}): Promise<void> {
    this.stopping ??= this.stopAll(o.drainMs ?? this.plan.drainMs);
    return this.stopping;
  }

  /** Ends everything at once, in no order. */
  async force(): Promise<void> {
    this.stopping ??= Promise.resolve();
    await this.agent?.stop(0);
    await this.broker?.stop();
  }

  private async begin(agent: AgentProcess, node: NodeId, replaces?: NodeId): Promise<AgentReady> {
    const { plan } = this;
    this.agent = agent;
    agent.begin({
      node,
      broker: this.brokerOptions,
      cluster: plan.cluster,
      subjectRoot: plan.subjectRoot,
      runtimeDir: plan.runtimeDir,
      links: plan.links,
      replicas: plan.replicas,
      cpus: plan.cpus,
      gpus: plan.gpus,
      memory: plan.memory,
      objectStoreMemory: plan.objectStoreMemory,
      spillDir: plan.spillDir,
      spillLimit: plan.spillLimit,
      dataHost: plan.dataHost,
      dataPort: plan.dataPort,
      resources: plan.resources,
      labels: plan.labels,
      whenDeclaredDead: "stop",
      drainMs: Math.round(plan.drainMs),
      runsBroker: this.broker !== undefined,
      replaces,
    });
    const ready = await agent.ready(START_TIMEOUT_MS);
    await announceNode(plan.runtimeDir, {
      ready,
      pid: agent.pid,
      cluster: plan.cluster,
      subjectRoot: plan.subjectRoot,
      servers: this.brokerOptions.servers.map(withoutCredentials),
      startedBy: "command",
      logFile: plan.logFile,
      drainMs: Math.round(plan.drainMs),
    });
    void agent.exited().then(() => this.onAgentEnd(agent));
    return ready;
  }

  /** The agent ended by itself: it was killed, or the cluster had declared it dead. The node comes back as a new one. */
  private async onAgentEnd(agent: AgentProcess): Promise<void> {
    if (this.stopping !== undefined) return;
    await agent.stop(0); // removes what it left
    const now = Date.now();
    this.ends.push(now);
    while ((this.ends[0] ?? now) < now - 60_000) this.ends.shift();
    const { state } = agent;
    // Told to end, by whomever, it ends with 0; whatever else ends it does not.
    if (state.kind === "exited" && state.ready !== undefined && state.code === 0) {
      this.left?.();
      return;
    }
    const how = state.kind === "exited" ? (state.signal ?? `exit code ${state.code}`) : state.kind;
    if (this.ends.length > MAX_ENDS_PER_MINUTE) {
      this.failed?.(
        new ConnectionError(
          `the node agent ended ${this.ends.length} times within a minute, the last time with ${how}; ` +
            `see its output above for why`,
        ),
      );
      return;
    }
    this.log(`the node agent ended (${how}); starting again`);
    const next = AgentProcess.fork({ log: this.log, main: this.plan.agentMain });
    try {
      const before = state.kind === "exited" ? state.ready?.node : undefined;
      const ready = await this.begin(next, newNodeId(), before);
      this.log(`back as node ${ready.node} (agent pid ${next.pid})`);
    } catch (thrown) {
      await next.stop(0);
      this.failed?.(toError(thrown));
    }
  }

  private watchBroker(): void {
    const { broker } = this;
    if (broker === undefined) return;
    const check = async (): Promise<void> => {
      if (this.stopping !== undefined) return;
      if (broker.pid === undefined) {
        this.log("the nats-server ended; starting it again");
        await broker.restart().catch((error: unknown) => {
          this.log(`the nats-server could not be started again: ${toError(error).message}`);
        });
      }
      this.brokerTimer = setTimeout(() => void check(), BROKER_CHECK_MS);
    };
    this.brokerTimer = setTimeout(() => void check(), BROKER_CHECK_MS);
  }

  private async stopAll(drainMs: number): Promise<void> {
    clearTimeout(this.brokerTimer);
    if (drainMs > 0 && this.agent !== undefined) await drainAgent(this.agent, drainMs + DRAIN_MARGIN_MS);
    if (this.agent !== undefined && !(await this.agent.stop(STOP_TIMEOUT_MS))) {
      this.log(`the node agent did not end within ${STOP_TIMEOUT_MS} ms and was killed`);
    }
    await this.broker?.stop();
  }
}

/** Over when the agent has ended, or is late with that. */
async function drainAgent(agent: AgentProcess, timeoutMs: number): Promise<void> {
  agent.drain();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => (timer = setTimeout(resolve, timeoutMs)));
  await Promise.race([agent.exited(), late]);
  clearTimeout(timer);
}

async function startBroker(
  own: { port: number; token: string | undefined },
  log: (line: string) => void,
): Promise<EmbeddedBroker> {
  const broker = await EmbeddedBroker.start({
    port: own.port,
    log,
    ...(own.token === undefined ? {} : { token: own.token }),
  });
  log(`nats-server (pid ${broker.pid}) listens on ${broker.url}`);
  return broker;
}

/** What STINGRAY_ADDRESS must be to reach the broker. Credentials that were given by hand are not repeated. */
function addressOf(options: BrokerOptions, own: boolean): string {
  const token = own && options.auth !== undefined && "token" in options.auth ? options.auth.token : undefined;
  return options.servers
    .map((server) => {
      const url = withoutCredentials(server);
      return token === undefined ? url : url.replace("://", `://${encodeURIComponent(token)}@`);
    })
    .join(",");
}
