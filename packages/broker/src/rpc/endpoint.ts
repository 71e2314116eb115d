/** An endpoint of this process: its inbox, or the mailbox of an actor that it hosts. Routes messages to handlers. */
import { encodeError, Op, ProtocolError } from "@stingray/protocol";
import type { Check, EndpointId, Method, StingrayError } from "@stingray/protocol";
import { Channel } from "./channel.js";
import type { Host, LocalEnd, PeerAddress, RemoteEnd } from "./parts.js";

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

export class Endpoint implements LocalEnd {
  private readonly handlers: (Handler | undefined)[] = [];
  private readonly services = new Map<string, Service>();
  private readonly channels = new Map<string, Channel>();
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
    const key = keyOf(peer.endpoint, peer.epoch ?? 0);
    const open = this.channels.get(key);
    if (open !== undefined) return open;
    const channel = new Channel(this.host, this, this.host.remoteFor(peer), peer);
    if (this.host.closed !== undefined) channel.fail(this.host.closed);
    else this.channels.set(key, channel);
    return channel;
  }

  /** Calls back whenever a channel of this endpoint closes, for whatever reason. Returns how to stop. */
  onChannelClosed(callback: (channel: Channel, reason: StingrayError) => void): () => void {
    this.closeCallbacks.add(callback);
    return () => this.closeCallbacks.delete(callback);
  }

  /** Closes all channels, telling the peers, and stops receiving. */
  close(): Promise<void> {
    for (const channel of this.open) channel.close();
    this.host.endpointClosed(this);
    return Promise.resolve();
  }

  /** @internal */
  get open(): Channel[] {
    return [...this.channels.values()];
  }
  /** @internal */
  find(endpoint: EndpointId, epoch: number): Channel | undefined {
    return this.channels.get(keyOf(endpoint, epoch));
  }

  /** @internal */
  channelClosed(channel: Channel, reason: StingrayError): void {
    const key = keyOf(channel.peer.endpoint, channel.peer.epoch ?? 0);
    if (this.channels.get(key) === channel) this.channels.delete(key);
    for (const callback of this.closeCallbacks) {
      try {
        callback(channel, reason);
      } catch (error) {
        this.host.handlerFailed(error, `onChannelClosed of ${this.id}`);
      }
    }
  }

  /** @internal */
  dispatch(message: unknown, channel: Channel): void {
    if (!Array.isArray(message) || typeof message[0] !== "number")
      return channel.refuse(
        new ProtocolError("malformed message: it must be an array that starts with a number"),
      );
    const op = message[0];
    if (op === Op.Request) return this.requested(message, channel);
    if (op === Op.Response) {
      try {
        channel.response(message);
      } catch (error) {
        channel.refuse(error);
      }
      return;
    }
    const handler = this.handlers[op];
    if (handler === undefined)
      return channel.refuse(new ProtocolError(`${this.id} takes no messages that begin with ${op}`));
    let checked: unknown;
    try {
      checked = handler.check(message, handler.at);
    } catch (error) {
      return channel.refuse(error);
    }
    try {
      const result = handler.handle(checked, channel);
      if (isPromise(result)) result.then(undefined, (error) => this.host.handlerFailed(error, handler.at));
    } catch (error) {
      this.host.handlerFailed(error, handler.at);
    }
  }

  private requested(message: readonly unknown[], channel: Channel): void {
    const [, id, name, body] = message;
    if (typeof id !== "number" || typeof name !== "string")
      return channel.refuse(new ProtocolError("malformed message: a request is [0, id, method, body]"));
    const answer = (result: unknown): void => {
      try {
        channel.send([Op.Response, id, 0, result]);
      } catch (error) {
        failed(error);
      }
    };
    const failed = (error: unknown): void => channel.send([Op.Response, id, 1, encodeError(error)]);
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
