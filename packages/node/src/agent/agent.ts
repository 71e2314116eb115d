/** A node agent: one life after another, as long as it is wanted. */
import { ConnectionError, type NodeId, type ProcessId } from "@stingray/protocol";
import { AgentLife } from "./life.js";
import { resolveAgentOptions, type AgentConfig, type AgentOptions } from "./options.js";

/** How a local process finds and proves itself to the agent. */
export interface AgentIdentity {
  node: NodeId;
  agent: ProcessId;
  socketDir: string;
  secret: string;
  storeDir: string;
  /** What it offers, in the user's units. */
  total: Readonly<Record<string, number>>;
  labels: Readonly<Record<string, string>>;
}

export interface StopOptions {
  /** For those who ask why the node is gone. @defaultValue "stopped" */
  reason?: string | undefined;
  /** What runs may take so long to end, in milliseconds; then it is killed. @defaultValue 2000 */
  graceMs?: number | undefined;
}

/** Waits between attempts to rejoin, in milliseconds. */
const REJOIN_MS = 500;
/** After a drain nothing runs that anybody waits for; workers end in order. Milliseconds. */
const LEAVE_MS = 1_000;

export class Agent implements AsyncDisposable {
  private readonly rejoined = new Set<(identity: AgentIdentity) => void>();
  private readonly goneCallbacks = new Set<(reason: string) => void>();
  private readonly drainedCallbacks = new Set<(reason: string) => void>();
  private stopped = false;
  private changing: Promise<void> = Promise.resolve();

  private constructor(
    private readonly options: AgentOptions,
    private life: AgentLife | undefined,
  ) {}

  /**
   * Starts a node and joins the cluster.
   * @throws ConnectionError, AuthError, InvalidOptionError, ObjectStoreFullError; nothing is left behind then
   */
  static async start(options: AgentOptions): Promise<Agent> {
    const agent = new Agent(options, undefined);
    agent.life = await agent.begin(resolveAgentOptions(options));
    return agent;
  }

  private begin(config: AgentConfig): Promise<AgentLife> {
    return AgentLife.start(config, {
      lost: (reason) => this.lost(reason),
      drained: (reason) => void this.leave(reason),
    });
  }

  /** Of the present life; of the last one where the agent has ended. */
  get identity(): AgentIdentity {
    const { config, storeDir, offer } = this.current;
    const { node, agent, socketDir, secret } = config;
    return { node, agent, socketDir, secret, storeDir, total: offer.total, labels: offer.labels };
  }
  get node(): NodeId {
    return this.current.config.node;
  }
  get agent(): ProcessId {
    return this.current.config.agent;
  }
  get socketDir(): string {
    return this.current.config.socketDir;
  }
  get secret(): string {
    return this.current.config.secret;
  }
  get storeDir(): string {
    return this.current.storeDir;
  }
  /** Resources that the node began with, in the user's units. */
  get total(): Readonly<Record<string, number>> {
    return this.current.offer.total;
  }

  /** The node came back under new ids after the cluster had declared it dead. */
  onRejoined(callback: (identity: AgentIdentity) => void): () => void {
    this.rejoined.add(callback);
    return () => this.rejoined.delete(callback);
  }
  /** The agent ended without being asked to: the cluster declared the node dead, and it does not come back. */
  onGone(callback: (reason: string) => void): () => void {
    this.goneCallbacks.add(callback);
    return () => this.goneCallbacks.delete(callback);
  }

  /** The node was drained, by whomever, and the agent has ended. */
  onDrained(callback: (reason: string) => void): () => void {
    this.drainedCallbacks.add(callback);
    return () => this.drainedCallbacks.delete(callback);
  }

  /**
   * Takes on nothing new, has what is here end or move to other nodes until the deadline, then stops. Asked again, the
   * deadline may come closer. `onDrained` tells when it is over.
   * @param o `deadlineMs` from now on
   */
  drain(o: { reason: string; deadlineMs: number }): void {
    if (this.life?.drain(o) !== true) void this.leave(o.reason);
  }

  /** Ends workers, leaves the cluster and removes all files. Idempotent, never rejects. */
  stop(o: StopOptions = {}): Promise<void> {
    this.stopped = true;
    const end = async (): Promise<void> =>
      this.life?.stop({ reason: o.reason ?? "stopped", graceMs: o.graceMs ?? 2_000 });
    this.changing = this.changing.then(end, end);
    return this.changing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  private get current(): AgentLife {
    if (this.life !== undefined) return this.life;
    throw new ConnectionError("the agent is still starting: await Agent.start");
  }

  private async leave(reason: string): Promise<void> {
    await this.stop({ reason, graceMs: LEAVE_MS });
    for (const callback of this.drainedCallbacks) callback(reason);
  }

  private lost(reason: string): void {
    if (this.stopped) return;
    // It was about to go anyway.
    if (this.life?.draining === true) {
      const { config } = this.life;
      config.log(
        `the cluster declared this node (${config.node}) dead while it was drained: ${reason}; it ends`,
      );
      void this.leave(reason);
      return;
    }
    this.changing = this.changing.then(() => this.rejoin(reason));
  }

  private async rejoin(reason: string): Promise<void> {
    const old = this.current;
    await old.stop({ reason, graceMs: 0 });
    if (this.options.whenDeclaredDead === "stop") {
      this.stopped = true;
      for (const callback of this.goneCallbacks) callback(reason);
      return;
    }
    old.config.log(
      `the cluster declared this node (${old.config.node}) dead: ${reason}; it comes back under a new id`,
    );
    const { node: _node, replaces: _replaces, ...options } = this.options;
    while (!this.stopped) {
      try {
        this.life = await this.begin(resolveAgentOptions(options));
        for (const callback of this.rejoined) callback(this.identity);
        return;
      } catch (error) {
        old.config.log(
          `could not rejoin: ${error instanceof Error ? error.message : String(error)}; trying again`,
        );
        await new Promise((resolve) => setTimeout(resolve, REJOIN_MS));
      }
    }
  }
}
