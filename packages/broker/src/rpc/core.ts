/** What the parts of a transport share: its endpoints, links, remotes, clocks and counters. */
import { ConnectionError, isDriverId, isProcessId, toError } from "@stingray/protocol";
import type { EndpointId, NodeId, ProcessId, StingrayError, Subjects } from "@stingray/protocol";
import type { Stream } from "./stream.js";
import { Deadlines } from "./deadlines.js";
import { Endpoint, type EndpointHost } from "./endpoint.js";
import type { Header } from "./frame.js";
import { DEFAULT_LIMITS, newStats } from "./limits.js";
import type { MalformedInfo, TransportLimits } from "./limits.js";
import { Loopback } from "./loopback.js";
import { NatsLink } from "./nats-link.js";
import { isActor, type Arrival, type Link, type PeerAddress, type RemoteEnd } from "./parts.js";
import { Remote, type Ways } from "./remote.js";
import { Router } from "./router.js";
import { SocketHub } from "./socket-hub.js";
import { Ticker } from "./ticker.js";

export interface CoreOptions {
  process: ProcessId;
  /** Where this process runs. Without it, or without `socketDir`, all frames go over NATS. */
  node?: NodeId | undefined;
  subjects: Subjects;
  /** Told of everything that came in and could not be understood. It was counted and refused already. */
  onMalformed?: ((info: MalformedInfo) => void) | undefined;
  /** Told of handlers and callbacks that threw: bugs. Default: a process warning. */
  onHandlerError?: ((error: unknown, where: string) => void) | undefined;
  /** What differs from the defaults. */
  limits?: Partial<TransportLimits> | undefined;
  /**
   * What is sent in one round of the event loop, and not just in one turn, travels together: fewer calls of the system.
   * For processes that run no code of users, which could hold up the end of a round. Default false.
   */
  gather?: boolean | undefined;
}

/** How often closing looks whether all is acknowledged, and how long it waits for the broker, in milliseconds. */
const DRAIN_LOOK_MS = 2;
const BROKER_FLUSH_MS = 500;

export class Core implements EndpointHost, Ways {
  readonly process: ProcessId;
  readonly node: NodeId | undefined;
  readonly limits: Readonly<TransportLimits>;
  readonly stats = newStats();
  readonly ticker = new Ticker();
  readonly deadlines = new Deadlines();
  readonly router: Router;
  readonly broker: NatsLink;
  hub: SocketHub | undefined;
  closed: StingrayError | undefined;

  private readonly here: RemoteEnd;
  private readonly remotes = new Map<EndpointId, Remote>();
  private streams = 0;
  private turn: Stream[] = [];
  private scheduled = false;
  private closing: Promise<void> | undefined;

  constructor(private readonly options: CoreOptions) {
    this.process = options.process;
    this.node = options.node;
    this.limits = { ...DEFAULT_LIMITS, ...options.limits };
    this.router = new Router(this);
    const loopback = new Loopback(this.stats.socket, ({ buffer, start, end }, link) =>
      this.router.receive(buffer, start, end, { link, process: this.process }),
    );
    this.here = { link: loopback, refused: false, reconnectedAt: 0, wanted() {}, add() {}, remove() {} };
    this.broker = new NatsLink(this.process, options.subjects, this.stats.nats, {
      frame: (buffer, link, at) => this.router.receive(buffer, 0, buffer.length, { link, at }),
      noResponders: (endpoint) => this.router.noResponders(endpoint),
      changed: () => {
        for (const remote of this.remotes.values()) remote.natsChanged();
      },
      subscriptionFailed: (subject, error) =>
        this.malformed({ to: subject, link: "nats", ours: true, error }),
    });
  }

  async listen(directory: string, secret: string, background: boolean): Promise<void> {
    this.hub = await SocketHub.open({
      directory,
      secret,
      background,
      process: this.process,
      limits: this.limits,
      stats: this.stats.socket,
      events: {
        frame: (link, buffer, start, end) =>
          this.router.receive(buffer, start, end, { link, process: link.process }),
        garbage: (link, error) => {
          this.stats.malformed++;
          this.malformed({ from: link.process, link: "socket", ours: false, error });
        },
        up: (link) => this.remoteOf(link.process).socketUp(link),
        lost: (link) => this.remotes.get(link.process)?.socketLost(link),
        dialFailed: (process, refused) => this.remotes.get(process)?.dialFailed(refused),
        unproven: (error) => {
          this.stats.unproven++;
          this.malformed({ link: "socket", ours: false, error });
        },
      },
    });
  }
  open(id: EndpointId, epoch: number): Endpoint {
    const endpoint = new Endpoint(this, id, epoch);
    this.router.addEndpoint(endpoint);
    this.broker.open(id);
    return endpoint;
  }

  peerDied(process: ProcessId, reason: StingrayError): void {
    this.remotes.get(process)?.fail(reason);
    this.hub?.drop(process);
  }

  nodeDied(node: NodeId, reason: StingrayError): void {
    const dead = new Set<ProcessId>();
    for (const { peer } of this.router.allStreams) {
      const process = peer.process ?? peer.endpoint;
      if (peer.node === node && isProcessId(process) && !isDriverId(process)) dead.add(process);
    }
    for (const process of dead) this.peerDied(process, reason);
  }

  /** See `Transport.close`. */
  close(drainMs: number): Promise<void> {
    return (this.closing ??= this.end(drainMs));
  }

  private async end(drainMs: number): Promise<void> {
    const until = performance.now() + drainMs;
    this.endTurn();
    while (this.router.allStreams.some((stream) => stream.unacknowledged) && performance.now() < until)
      await new Promise((resolve) => setTimeout(resolve, DRAIN_LOOK_MS));
    this.closed = new ConnectionError(`the transport of ${this.process} is closed`);
    for (const stream of this.router.allStreams) stream.close(this.closed);
    await this.hub?.close();
    await this.broker.detach(BROKER_FLUSH_MS);
    this.ticker.close();
    this.deadlines.close();
  }

  // -------------------------------------------------------------------------------------------------------------
  // For channels and endpoints.

  nextStream(): number {
    return ++this.streams;
  }
  opened(stream: Stream): void {
    this.router.addStream(stream);
  }
  forgotten(stream: Stream): void {
    this.router.removeStream(stream);
  }
  endpointClosed(endpoint: Endpoint): void {
    if (this.router.endpoint(endpoint.id) !== endpoint) return;
    this.router.removeEndpoint(endpoint);
    this.broker.close(endpoint.id);
  }

  /** After all microtasks: what they send to one peer travels in one frame. */
  atEndOfTurn(stream: Stream): void {
    stream.queued = true;
    this.turn.push(stream);
    if (this.scheduled) return;
    this.scheduled = true;
    if (this.options.gather === true) setImmediate(this.endTurn);
    else queueMicrotask(this.scheduleEnd);
  }
  // A tick that is asked for in a microtask runs when the microtasks are done; one asked for earlier runs before them.
  private readonly scheduleEnd = (): void => process.nextTick(this.endTurn);
  private readonly endTurn = (): void => {
    this.scheduled = false;
    const streams = this.turn;
    this.turn = [];
    const links: Link[] = [];
    for (const stream of streams) {
      stream.queued = false;
      stream.pump();
      const { link } = stream.end;
      if (link !== undefined && !links.includes(link)) links.push(link);
    }
    for (const link of links) link.flush();
  };

  malformed(info: MalformedInfo): void {
    try {
      this.options.onMalformed?.(info);
    } catch (error) {
      this.handlerFailed(error, "onMalformed");
    }
  }
  handlerFailed(error: unknown, where: string): void {
    this.stats.handlerErrors++;
    const { onHandlerError } = this.options;
    if (onHandlerError === undefined)
      process.emitWarning(toError(error), { detail: `thrown by a handler: ${where}` });
    else onHandlerError(error, where);
  }

  // -------------------------------------------------------------------------------------------------------------
  // Where peers are.

  remoteFor(peer: PeerAddress): RemoteEnd {
    const process = peer.process ?? (isActor(peer.endpoint) ? undefined : peer.endpoint);
    if (process === this.process || this.router.endpoint(peer.endpoint) !== undefined) return this.here;
    const remote = this.remoteOf(process ?? peer.endpoint);
    if (this.hub !== undefined) remote.learnNode(peer.node, this.node);
    return remote;
  }

  whereabouts(header: Header, arrival: Arrival): { process?: ProcessId; node?: NodeId } {
    const process = arrival.process ?? header.process ?? (isActor(header.from) ? undefined : header.from);
    return {
      ...(process === undefined ? {} : { process }),
      ...(header.node === undefined ? {} : { node: header.node }),
    };
  }

  located(stream: Stream, header: Header, arrival: Arrival): void {
    stream.moveTo(this.remoteFor({ endpoint: stream.peer.endpoint, ...this.whereabouts(header, arrival) }));
  }

  private remoteOf(name: EndpointId): Remote {
    let remote = this.remotes.get(name);
    if (remote === undefined) {
      remote = new Remote(name, isActor(name) ? undefined : name, this);
      this.remotes.set(name, remote);
    }
    return remote;
  }

  get nats(): Link | undefined {
    return this.broker.up ? this.broker : undefined;
  }
  get attached(): boolean {
    return this.broker.attached;
  }
  get reconnectedAt(): number {
    return this.broker.reconnectedAt;
  }
  dial(process: ProcessId): void {
    this.hub?.dial(process);
  }
  unused(remote: Remote): void {
    if (!remote.hasSocket && this.remotes.get(remote.name) === remote) this.remotes.delete(remote.name);
  }
}
