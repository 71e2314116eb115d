/** The broker of a test's cluster. Its data outlives a `kill()`, so that it can come back. */
import type { BrokerOptions } from "@stingray/broker/connect";
import { EmbeddedBroker } from "@stingray/broker/server";
import { InvalidOptionError } from "@stingray/protocol";
import { TestProcess } from "./processes.js";

/** A nats-server that can be killed, stopped in its tracks and started again. */
export class TestBroker {
  private paused: TestProcess | undefined;
  /** Clusters whose tables would go with the process. */
  private readonly inMemory = new Set<string>();

  private constructor(private readonly server: EmbeddedBroker) {}

  /** @internal */
  static async start(): Promise<TestBroker> {
    return new TestBroker(await EmbeddedBroker.start());
  }

  /** Without credentials; the same after a restart. */
  get url(): string {
    return this.server.url;
  }

  /** How to connect to it, credentials included. */
  get options(): BrokerOptions {
    return this.server.options;
  }

  /** What clients must show. */
  get token(): string {
    const { auth } = this.server.options;
    return auth !== undefined && "token" in auth ? auth.token : "";
  }

  /** Of the server; undefined while it is down. */
  get pid(): number | undefined {
    return this.server.pid;
  }

  /**
   * Kills it as `kill -9` does. It is down when this resolves, until {@link restart}.
   * @throws InvalidOptionError where the cluster has `storage: "memory"`: nothing of it would be left
   */
  async kill(): Promise<void> {
    this.refuseInMemory("kill()");
    await this.resume();
    await this.server.kill("SIGKILL");
  }

  /** On the same port, with its data; kills it first if it runs. @throws ConnectionError; as {@link kill} */
  async restart(): Promise<void> {
    this.refuseInMemory("restart()");
    if (this.pid !== undefined) await this.kill();
    await this.server.restart();
  }

  /** Stops it in its tracks (SIGSTOP), until {@link resume}: connections stay, and nothing moves. */
  async pause(): Promise<void> {
    if (this.paused !== undefined) return;
    const process = new TestProcess(this.pid ?? 0, "the broker");
    await process.pause();
    this.paused = process;
  }

  /** Lets it go on. */
  async resume(): Promise<void> {
    await this.paused?.resume();
    this.paused = undefined;
  }

  /** @internal This cluster can't outlive it. */
  holdsInMemory(cluster: string): void {
    this.inMemory.add(cluster);
  }

  /** @internal Goes on, and is started again if it is down. */
  async heal(): Promise<void> {
    await this.resume();
    if (this.pid === undefined) await this.server.restart();
  }

  /** @internal */
  async end(): Promise<void> {
    await this.resume();
    await this.server.stop();
  }

  private refuseInMemory(what: string): void {
    const [cluster] = this.inMemory;
    if (cluster === undefined) return;
    throw new InvalidOptionError(
      `broker.${what}: the tables of test cluster "${cluster}" are in the broker's memory and would be lost, with all ` +
        `its jobs; give testCluster() storage: "file", which is the default`,
    );
  }
}
