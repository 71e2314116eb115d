/** An endpoint of this process: its inbox, or the mailbox of an actor that it hosts. Routes messages to handlers. */
import { encodeError, Op, ProtocolError } from "@stingray/protocol";
import type { Check, EndpointId, Method, StingrayError } from "@stingray/protocol";
import { Channel, type CloseCallbacks } from "./channel.js";
import type { Host, LocalEnd, PeerAddress, RemoteEnd } from "./parts.js";
import { Requests } from "./requests.js";
import { Stream } from "./stream.js";

interface Handler {
  readonly check: Check<unknown>;
  readonly handle: (message: unknown, channel: Channel) => unknown;
  readonly at: string;
}
interface Service {
  readonly check: Check<unknown>;
  readonly handle: (ask: unknown, channel: Channel) => unknown;
}

/** What an endpoint needs of the transport beside what a channel needs. */
export interface EndpointHost extends Host {
  remoteFor(peer: PeerAddress): RemoteEnd;
  endpointClosed(endpoint: Endpoint): void;
}

interface Open {
  readonly stream: Stream;
  readonly channel: Channel;
  readonly requests: Requests;
}

export class Endpoint implements LocalEnd {
  private readonly handlers: (Handler | undefined)[] = [];
  private readonly services = new Map<string, Service>();
  private readonly channels = new Map<string, Open>();
  private readonly closeCallbacks = new Set<(channel: Channel, reason: StingrayError) => void>();

  /** Made by the transport. @internal */
  constructor(
    private readonly host: EndpointHost,
    readonly id: EndpointId,
    /** The incarnation that is served here. */
    readonly epoch: number,
  ) {}

  /** Handles messages that begin with `op`; what does not pass `check` is refused. In place of an earlier handler. */
  on<T>(op: number, check: Check<T>, handler: (message: T, channel: Channel) => void): void {
    this.handlers[op] = { check, handle: handler as Handler["handle"], at: `message ${op}` };
  }

  /** Answers requests; what the handler throws or rejects with travels back to the asker. In place of an earlier handler. */
  serve<Q, A>(method: Method<Q, A>, handler: (ask: Q, channel: Channel) => A | Promise<A>): void {
    this.services.set(method.name, { check: method.ask, handle: handler as Service["handle"] });
  }

  /** The open channel to this peer and epoch, made now if there is none. Nothing is awaited and nothing sent. */
  channel(peer: PeerAddress): Channel {
    return this.open(peer).channel;
  }

  /** Calls back whenever a channel of this endpoint closes, for whatever reason. Returns how to stop. */
  onChannelClosed(callback: (channel: Channel, reason: StingrayError) => void): () => void {
    this.closeCallbacks.add(callback);
    return () => this.closeCallbacks.delete(callback);
  }

  /** Requests that were sent from here and wait for their answers. */
  get waiting(): number {
    let waiting = 0;
    for (const { requests } of this.channels.values()) waiting += requests.size;
    return waiting;
  }

  /** Closes all channels, telling the peers, and stops receiving. */
  close(): Promise<void> {
    for (const { channel } of this.channels.values()) channel.close();
    this.host.endpointClosed(this);
    return Promise.resolve();
  }

  /** The same for an incoming frame. @internal */
  streamTo(peer: PeerAddress): Stream {
    return this.open(peer).stream;
  }
  /** @internal */
  find(endpoint: EndpointId, epoch: number): Stream | undefined {
    return this.channels.get(keyOf(endpoint, epoch))?.stream;
  }

  private open(peer: PeerAddress): Open {
    const { host } = this;
    const key = keyOf(peer.endpoint, peer.epoch ?? 0);
    const known = this.channels.get(key);
    if (known !== undefined) return known;
    const requests = new Requests(host.deadlines, peer.endpoint);
    const callbacks: CloseCallbacks = new Set();
    const stream = new Stream(host, this, host.remoteFor(peer), peer, {
      message: (message) => this.dispatch(message, channel, stream, requests),
      closed: (reason) => {
        if (this.channels.get(key)?.stream === stream) this.channels.delete(key);
        requests.failAll(reason);
        for (const callback of this.closeCallbacks)
          this.tell(() => callback(channel, reason), `onChannelClosed of ${this.id}`);
        for (const callback of callbacks)
          this.tell(() => callback(reason), `onClose of the channel to ${peer.endpoint}`);
        callbacks.clear();
      },
    });
    const channel = new Channel(stream, requests, callbacks);
    const opened = { stream, channel, requests };
    if (host.closed !== undefined) stream.fail(host.closed);
    else this.channels.set(key, opened);
    return opened;
  }

  private tell(call: () => void, where: string): void {
    try {
      call();
    } catch (error) {
      this.host.handlerFailed(error, where);
    }
  }

  private dispatch(message: unknown, channel: Channel, stream: Stream, requests: Requests): void {
    if (!Array.isArray(message) || typeof message[0] !== "number")
      return stream.refuse(
        new ProtocolError("malformed message: it must be an array that starts with a number"),
      );
    const op = message[0];
    if (op === Op.Request) return this.requested(message, channel, stream);
    const handler = op === Op.Response ? undefined : this.handlers[op];
    let checked: unknown;
    try {
      if (op === Op.Response) return requests.answered(message);
      if (handler === undefined)
        throw new ProtocolError(`${this.id} takes no messages that begin with ${op}`);
      checked = handler.check(message, handler.at);
    } catch (error) {
      return stream.refuse(error);
    }
    try {
      const result = handler.handle(checked, channel);
      if (isPromise(result)) result.then(undefined, (error) => this.host.handlerFailed(error, handler.at));
    } catch (error) {
      this.host.handlerFailed(error, handler.at);
    }
  }

  private requested(message: readonly unknown[], channel: Channel, stream: Stream): void {
    const [, id, name, body] = message;
    if (typeof id !== "number" || typeof name !== "string")
      return stream.refuse(new ProtocolError("malformed message: a request is [0, id, method, body]"));
    const answer = (result: unknown): void => {
      try {
        stream.send([Op.Response, id, 0, result]);
      } catch (error) {
        failed(error);
      }
    };
    const failed = (error: unknown): void => stream.send([Op.Response, id, 1, encodeError(error)]);
    const service = this.services.get(name);
    if (service === undefined)
      return failed(
        new ProtocolError(`${this.id} does not serve the method "${name}"; is it of another version?`),
      );
    let ask: unknown;
    try {
      ask = service.check(body, name);
    } catch (error) {
      this.host.stats.malformed++;
      return failed(error);
    }
    try {
      const result = service.handle(ask, channel);
      if (isPromise(result)) result.then(answer, failed);
      else answer(result);
    } catch (error) {
      failed(error);
    }
  }
}

const keyOf = (endpoint: EndpointId, epoch: number): string => `${endpoint}/${epoch}`;

function isPromise(value: unknown): value is Promise<unknown> {
  return (
    typeof value === "object" && value !== null && typeof (value as { then?: unknown }).then === "function"
  );
}
