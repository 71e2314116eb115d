/**
 * The transport of a process: its endpoints, the links that carry their frames, and the channels between them and
 * those of other processes.
 */
import type { NatsConnection } from "@nats-io/nats-core";
import { InvalidArgumentError, InvalidOptionError, isActorId, isProcessId } from "@stingray/protocol";
import type { ActorId, NodeId, ProcessId, StingrayError } from "@stingray/protocol";
import { Core, type CoreOptions } from "./core.js";
import type { Endpoint } from "./endpoint.js";
import type { TransportStats } from "./limits.js";

/** How a transport is made. */
export interface TransportOptions extends CoreOptions {
  /** Directory of the Unix sockets of this node; made with mode 0700 if there is none. */
  socketDir?: string | undefined;
  /** What processes of this node know and others do not. Default empty: the mode of the directory is the only guard. */
  secret?: string | undefined;
  /** `nats`: no sockets at all. Default `auto`. */
  links?: "auto" | "nats" | undefined;
  /** Sockets alone do not keep the process alive: it may end while they are open. Default false. */
  background?: boolean | undefined;
}

const DRAIN_MS = 1_000;

export class Transport {
  readonly process: ProcessId;
  readonly node: NodeId | undefined;
  /** The process's own endpoint. */
  readonly inbox: Endpoint;
  private readonly core: Core;

  private constructor(core: Core) {
    this.core = core;
    this.process = core.process;
    this.node = core.node;
    this.inbox = core.open(core.process, 0);
  }

  /**
   * Makes the transport and listens on `<socketDir>/<process>.sock` where both ends of that are given.
   * @throws InvalidArgumentError, InvalidOptionError, AuthError (directory open to others), ConnectionError (can't listen)
   */
  static async create(options: TransportOptions): Promise<Transport> {
    const { process, socketDir, node, links = "auto" } = options;
    if (!isProcessId(process))
      throw new InvalidArgumentError(`process: "${String(process)}" is no process id`);
    if (links !== "auto" && links !== "nats")
      throw new InvalidOptionError(`links: "${String(links)}" must be "auto" or "nats"`);
    const core = new Core(options);
    if (socketDir !== undefined && node !== undefined && links === "auto")
      await core.listen(socketDir, options.secret ?? "", options.background ?? false);
    return new Transport(core);
  }

  /** Takes this connection for NATS from now on. It stays the caller's to close, after the transport. */
  attachBroker(connection: NatsConnection): void {
    this.core.broker.attach(connection);
  }

  /**
   * Serves the mailbox of an actor that lives in this process, as incarnation `epoch`; an older incarnation closes.
   * @throws InvalidArgumentError where it is no actor id, or this or a newer incarnation is open
   */
  openEndpoint(id: ActorId, epoch: number): Endpoint {
    if (!isActorId(id))
      throw new InvalidArgumentError(`"${String(id)}" is no actor id; only mailboxes can be opened`);
    const open = this.core.router.endpoint(id);
    if (open !== undefined && open.epoch >= epoch)
      throw new InvalidArgumentError(
        `incarnation ${open.epoch} of ${id} is open in this process, ${epoch} is not newer`,
      );
    void open?.close();
    return this.core.open(id, epoch);
  }

  /** The process is known to be dead: every channel to it closes now, with this reason. */
  peerDied(process: ProcessId, reason: StingrayError): void {
    this.core.peerDied(process, reason);
  }

  /** The processes on that node are known to be dead, but for drivers, which may outlive it: as {@link peerDied} for each. */
  nodeDied(node: NodeId, reason: StingrayError): void {
    this.core.nodeDied(node, reason);
  }

  /** Breaks the sockets to a process, or all, as a fault would; channels go on over what is left. For drills. */
  breakSockets(process?: ProcessId): void {
    this.core.hub?.break(process);
  }

  /** Requests of the inbox that wait for their answers. */
  get waiting(): number {
    return this.inbox.waiting;
  }

  stats(): TransportStats {
    const { stats, router, hub } = this.core;
    return {
      ...stats,
      socket: { ...stats.socket },
      nats: { ...stats.nats },
      channels: router.size,
      sockets: hub?.size ?? 0,
    };
  }

  /**
   * Sends what is queued, waits at most `drainMs` (default 1,000) until peers have acknowledged it, tells them, and
   * closes every channel, socket and subscription. The NATS connection stays open.
   */
  close(options: { drainMs?: number } = {}): Promise<void> {
    return this.core.close(options.drainMs ?? DRAIN_MS);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
