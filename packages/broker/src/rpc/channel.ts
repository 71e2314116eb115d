/**
 * A channel: an ordered, exactly-once stream of messages, both ways, between a local endpoint and a remote one. This is
 * what its users hold.
 */
import { ConnectionError } from "@stingray/protocol";
import type { Method, StingrayError } from "@stingray/protocol";
import type { PeerAddress } from "./parts.js";
import type { RequestOptions, Requests } from "./requests.js";
import type { Stream } from "./stream.js";

/** What calls back when the channel closes. */
export type CloseCallbacks = Set<(reason: StingrayError) => void>;

export class Channel {
  /** Made by `Endpoint.channel` and by what comes in. @internal */
  constructor(
    private readonly stream: Stream,
    private readonly requests: Requests,
    private readonly closeCallbacks: CloseCallbacks,
  ) {}

  /** Who is at the other end. */
  get peer(): PeerAddress {
    return this.stream.peer;
  }
  /** Why it closed; undefined while it is open. A closed channel stays closed: ask the endpoint for a new one. */
  get closed(): StingrayError | undefined {
    return this.stream.closed;
  }
  /** The link that a message would take now. `none`: it waits for one. */
  get link(): "socket" | "nats" | "none" {
    return this.closed === undefined ? (this.stream.end.link?.kind ?? "none") : "none";
  }
  /** Bytes queued and not yet handed to a link. */
  get backlog(): number {
    return this.stream.backlog;
  }

  /**
   * Encodes the message and queues it for the end of this turn of the event loop. On a closed channel it does
   * nothing; `onClose` tells.
   * @throws SerializationError where the message holds what is not plain; InvalidArgumentError where it is too large
   */
  send(message: readonly unknown[]): void {
    this.stream.send(message);
  }

  /** Puts what is queued on the wire now, within this call where the link can. */
  flush(): void {
    this.stream.pump();
    this.stream.end.link?.flush();
  }

  /**
   * Asks, and waits for the answer.
   * @throws TimeoutError; ProtocolError (unknown method, wrong shape); the channel's reason where it closes; the
   *   signal's reason; whatever the handler threw, rebuilt
   */
  request<Q, A>(method: Method<Q, A>, ask: Q, options?: RequestOptions): Promise<A> {
    const { closed } = this.stream;
    if (closed !== undefined) return Promise.reject(closed);
    return this.requests.ask(this.stream, method, ask, options);
  }

  /** Calls back once when the channel closes; soon, if it is closed already. Returns how to stop. */
  onClose(callback: (reason: StingrayError) => void): () => void {
    const { closed } = this.stream;
    this.closeCallbacks.add(callback);
    if (closed !== undefined) queueMicrotask(() => this.closeCallbacks.delete(callback) && callback(closed));
    return () => this.closeCallbacks.delete(callback);
  }

  /** Sends what is queued, tells the peer, and closes. What the peer had not received when it is told may be lost. */
  close(reason?: StingrayError): void {
    this.stream.close(
      reason ?? new ConnectionError(`the channel to ${this.peer.endpoint} was closed by this process`),
    );
  }
}
