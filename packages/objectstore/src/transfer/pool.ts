/** The connections of this process to data ports, each used by as many transfers as there are. */
import { ConnectionError, toError, type DataAddress } from "@stingray/protocol";
import { dial } from "./dial.js";
import type { PullLimits } from "./limits.js";
import { Link } from "./link.js";

export interface PoolOptions {
  readonly name: string;
  readonly serves: () => DataAddress | undefined;
  readonly limits: PullLimits;
}

interface Peer {
  readonly links: Set<Link>;
  dialling: Promise<Link> | undefined;
  /** One more connection could not be had: none is tried before. Milliseconds of `performance.now()`. */
  notBefore: number;
}

export class Pool {
  readonly #options: PoolOptions;
  readonly #peers = new Map<string, Peer>();
  /** Until when a port that could not be reached is left alone, and why. */
  readonly #unreachable = new Map<string, { until: number; error: Error }>();
  #sweeper: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: PoolOptions) {
    this.#options = options;
  }

  /**
   * A connection to this port: one that nobody uses, a new one, or the one with the fewest objects open.
   * @throws ConnectionError, AuthError, ProtocolError; at once where it could not be reached a short time ago
   */
  async link(address: DataAddress): Promise<Link> {
    if (this.#closed) throw new ConnectionError("this process takes no part in transfers any more");
    const id = `${address.hosts.join(",")}:${address.port}:${address.key}`;
    const now = performance.now();
    let peer = this.#peers.get(id);
    let least: Link | undefined;
    for (const link of peer?.links ?? [])
      if (!link.over && (least === undefined || link.channels < least.channels)) least = link;
    if (peer !== undefined && least !== undefined) {
      const enough = peer.links.size >= this.#options.limits.connectionsPerPeer || now < peer.notBefore;
      if (least.channels === 0 || enough) return least;
    } else {
      const unreachable = this.#unreachable.get(id);
      if (unreachable !== undefined && unreachable.until > now) throw unreachable.error;
    }
    if (peer === undefined)
      this.#peers.set(id, (peer = { links: new Set(), dialling: undefined, notBefore: 0 }));
    peer.dialling ??= this.#dial(id, peer, address);
    if (least === undefined) return peer.dialling;
    peer.dialling.catch(() => {}); // while a second one is dialled, or can't be had, the first is as good
    return least;
  }

  /** Ports that are remembered, because there are connections or because they could not be reached. */
  get known(): number {
    return new Set([...this.#peers.keys(), ...this.#unreachable.keys()]).size;
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#sweeper);
    const error = new ConnectionError("this process takes no part in transfers any more");
    for (const { links } of this.#peers.values()) for (const link of links) link.destroy(error);
  }

  async #dial(id: string, peer: Peer, address: DataAddress): Promise<Link> {
    const { name, serves, limits } = this.#options;
    try {
      const { wire, session } = await dial(address, {
        name,
        serves: serves(),
        timeoutMs: limits.connectTimeoutMs,
      });
      if (wire.over) throw new ConnectionError(`the data port at ${wire.remote} hung up after the handshake`);
      const link = new Link(wire, session, (over) => {
        peer.links.delete(over);
        if (peer.links.size === 0 && peer.dialling === undefined) this.#peers.delete(id);
      });
      peer.links.add(link);
      this.#unreachable.delete(id);
      if (this.#closed) link.destroy(new ConnectionError("this process takes no part in transfers any more"));
      return link;
    } catch (thrown) {
      const error = toError(thrown);
      const until = performance.now() + limits.unreachableMs;
      if (peer.links.size > 0) {
        peer.notBefore = until; // the port is there, whatever was the matter with this one
      } else {
        this.#unreachable.set(id, { until, error });
        this.#peers.delete(id);
      }
      throw error;
    } finally {
      peer.dialling = undefined;
      if (!this.#closed)
        this.#sweeper ??= setInterval(() => this.#sweep(), Math.max(10, limits.idleMs / 4)).unref();
    }
  }

  #sweep(): void {
    const now = performance.now();
    for (const [id, { until }] of this.#unreachable) if (until <= now) this.#unreachable.delete(id);
    const idle = new ConnectionError("nobody needed this connection any more");
    for (const { links } of this.#peers.values()) {
      for (const link of links)
        if (link.channels === 0 && now - link.idleSince > this.#options.limits.idleMs) link.destroy(idle);
    }
    if (this.#peers.size > 0 || this.#unreachable.size > 0) return;
    clearInterval(this.#sweeper);
    this.#sweeper = undefined;
  }
}
