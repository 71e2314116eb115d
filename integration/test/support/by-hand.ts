/** A cluster that was started by hand: a broker and `stingray start` processes, with this process or programs as drivers. */
import type { EmbeddedBroker } from "@stingray/broker/server";
import { init, nodes, shutdown, type Cluster, type InitOptions } from "stingray";
import { eventually } from "stingray/testing";
import type { Program } from "./program.js";
import { Sandbox } from "./sandbox.js";

export interface HandMade {
  node: string;
  command: Program;
}

export class ClusterByHand {
  readonly sandbox = new Sandbox();
  readonly started: HandMade[] = [];
  private broker_: EmbeddedBroker | undefined;
  private leaveSettings: (() => void) | undefined;

  /** A broker, and a node for each list of arguments of `stingray start`. */
  static async start(...nodes: string[][]): Promise<ClusterByHand> {
    const cluster = new ClusterByHand();
    try {
      cluster.broker_ = await cluster.sandbox.broker();
      cluster.leaveSettings = cluster.sandbox.enter(cluster.settings);
      cluster.started.push(...(await Promise.all(nodes.map((args) => cluster.node(...args)))));
      return cluster;
    } catch (error) {
      await cluster.end();
      throw error;
    }
  }

  get broker(): EmbeddedBroker {
    if (this.broker_ === undefined) throw new Error("the broker is not started");
    return this.broker_;
  }

  /** What a program must know to join. */
  get settings(): Record<string, string> {
    const { options } = this.broker;
    const token = options.auth !== undefined && "token" in options.auth ? options.auth.token : "";
    return { STINGRAY_ADDRESS: this.broker.url, STINGRAY_TOKEN: token };
  }

  /** One more `stingray start`. */
  async node(...args: string[]): Promise<HandMade> {
    const size = ["--cpus", "2", "--gpus", "0", "--memory", "1GiB", "--object-store-memory", "128MiB"];
    const command = this.sandbox.stingray(["start", ...size, ...args], this.settings);
    const node = await command.up();
    this.sandbox.look();
    return { node, command };
  }

  /** This process joins, and waits until it sees every node. */
  async join(options: InitOptions = {}): Promise<Cluster> {
    const cluster = await init({ logToDriver: false, ...options });
    await this.sees(this.started.length);
    return cluster;
  }

  /** The same; tells which node is this process's own, and another one. */
  async joinOne(): Promise<[own: HandMade, other: HandMade]> {
    const { nodeId } = await this.join();
    const own = this.started.find(({ node }) => node === nodeId);
    const other = this.started.find((made) => made !== own);
    if (own === undefined || other === undefined) throw new Error("there are no two nodes here");
    return [own, other];
  }

  /** Waits until exactly so many nodes live. */
  async sees(count: number, timeoutMs?: number): Promise<string[]> {
    return eventually(
      async () => {
        const alive = (await nodes()).filter(({ state }) => state === "ALIVE").map(({ node }) => node);
        if (alive.length !== count) throw new Error(`${alive.length} nodes live`);
        return alive;
      },
      { message: `${count} nodes live`, timeoutMs },
    );
  }

  /** The agent of a node: the child of its command. */
  agentOf(made: HandMade): number {
    const found = this.sandbox
      .processes()
      .find(
        ({ pid, command }) =>
          command.includes("agent/main.js") && this.sandbox.parentOf(pid) === made.command.pid,
      );
    if (found === undefined) throw new Error(`node ${made.node} has no agent`);
    return found.pid;
  }

  /** Politely, and nothing may remain. */
  async end(): Promise<void> {
    try {
      await shutdown();
      for (const { command } of this.started) command.signal("SIGTERM");
      await Promise.all(this.started.map(({ command }) => command.ended()));
      await this.broker_?.stop();
      await this.sandbox.nothingRemains();
    } finally {
      this.leaveSettings?.();
      await this.sandbox.end();
    }
  }
}
