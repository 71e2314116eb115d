/** The node agent that a process turns to: a worker's own, a driver's nearest. A driver's may change when one dies. */
import { ConnectionError, type Method, type NodeId, type ProcessId } from "@stingray/protocol";
import type { Channel, Transport } from "@stingray/broker";

export interface HomeAddress {
  readonly agent: ProcessId;
  readonly node: NodeId;
}

/** Finds another agent after the present one is gone. Rejects when there is none to be had. */
export type FindHome = (gone: HomeAddress) => Promise<HomeAddress>;

export class Home {
  private channelNow: Channel | undefined;
  private moving: Promise<void> | undefined;
  private ended: Error | undefined;
  private readonly movedListeners = new Set<() => void>();

  private constructor(
    private readonly transport: Transport,
    private address: HomeAddress,
    private readonly find: FindHome | undefined,
    private readonly onLost: (reason: Error) => void,
  ) {}

  /** @param onLost the agent is gone and no other was found. */
  static open(
    transport: Transport,
    address: HomeAddress,
    find: FindHome | undefined,
    onLost: (reason: Error) => void,
  ): Home {
    const home = new Home(transport, address, find, onLost);
    home.attach();
    return home;
  }

  get agent(): ProcessId {
    return this.address.agent;
  }

  get node(): NodeId {
    return this.address.node;
  }

  private attach(): void {
    const channel = this.transport.inbox.channel({ endpoint: this.address.agent, node: this.address.node });
    this.channelNow = channel;
    channel.onClose((reason) => {
      if (this.channelNow === channel && this.ended === undefined) this.move(reason);
    });
  }

  private move(reason: Error): void {
    this.channelNow = undefined;
    const find = this.find;
    if (find === undefined) {
      this.end(reason);
      return;
    }
    this.moving = find(this.address).then(
      (address) => {
        if (this.ended !== undefined) return;
        this.address = address;
        this.moving = undefined;
        this.attach();
        for (const listener of this.movedListeners) listener();
      },
      (error: unknown) => this.end(error instanceof Error ? error : new ConnectionError(String(error))),
    );
  }

  private end(reason: Error): void {
    if (this.ended !== undefined) return;
    this.ended = reason;
    this.onLost(reason);
  }

  /** Calls back after another agent took over: what was asked of the first must be asked again. */
  onMoved(listener: () => void): void {
    this.movedListeners.add(listener);
  }

  /** Sends to the agent; while there is none, the message is dropped: levels are sent again after a move. */
  send(message: readonly unknown[]): void {
    this.channelNow?.send(message);
  }

  flush(): void {
    this.channelNow?.flush();
  }

  async request<Q, A>(
    method: Method<Q, A>,
    ask: Q,
    o?: { timeoutMs?: number; signal?: AbortSignal },
  ): Promise<A> {
    await this.moving;
    if (this.channelNow === undefined) {
      throw new ConnectionError(
        "no node agent can be reached: start one with `stingray start`, or call init() again",
        { cause: this.ended },
      );
    }
    return this.channelNow.request(method, ask, o);
  }

  /** Whether there is an agent, now or within `ms` milliseconds. */
  async reached(ms: number): Promise<boolean> {
    if (this.moving !== undefined) {
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<void>((resolve) => (timer = setTimeout(resolve, ms)));
      await Promise.race([this.moving, late]);
      clearTimeout(timer);
    }
    return this.channelNow !== undefined;
  }

  /** No more moves: the process is leaving. */
  stop(): void {
    this.ended ??= new ConnectionError("this process has left the cluster");
  }
}
