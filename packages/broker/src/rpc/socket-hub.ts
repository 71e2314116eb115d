/**
 * The Unix sockets of this process: listens on `<directory>/<process>.sock`, dials others, and sees to it that there is
 * at most one link per pair of processes, also when both dial at once.
 */
import { mkdir, stat, unlink } from "node:fs/promises";
import { connect, createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { AuthError, ConnectionError, InvalidOptionError, type ProcessId } from "@stingray/protocol";
import { Awake } from "./awake.js";
import type { Deframer } from "./deframer.js";
import { greet, receive, type HandshakeOptions, type Outcome } from "./handshake.js";
import type { LinkStats, TransportLimits } from "./limits.js";
import { SocketLink, type SocketEvents } from "./socket-link.js";

/** Longest path of a Unix socket on Linux and macOS, in bytes. */
const LONGEST_PATH = 103;
/** How long closing waits for what is queued on sockets, in milliseconds. */
const CLOSE_MS = 500;

export interface HubEvents {
  frame: SocketEvents["frame"];
  garbage: SocketEvents["garbage"];
  /** There is a link to this process now, in place of an older one if there was. */
  up(link: SocketLink): void;
  lost(link: SocketLink): void;
  /** A dial did not lead to a link. `refused`: nobody listens there. */
  dialFailed(process: ProcessId, refused: boolean): void;
  /** Someone could not prove to know the secret. */
  unproven(error: Error): void;
}

export interface HubOptions {
  directory: string;
  process: ProcessId;
  secret: string;
  /** None of its sockets keeps the process alive. */
  background: boolean;
  limits: Readonly<TransportLimits>;
  stats: LinkStats;
  events: HubEvents;
}

export class SocketHub {
  private readonly links = new Map<ProcessId, SocketLink>();
  private readonly dials = new Map<ProcessId, Socket>();
  /** Who is proving itself on a socket that it dialled. */
  private readonly entering = new Map<ProcessId, Socket>();
  /** All of them, until they are closed; and those of them whose peer is not proven. */
  private readonly sockets = new Set<Socket>();
  private readonly strangers = new Set<Socket>();
  private readonly awake: Awake;
  private closed = false;

  private constructor(
    private readonly options: HubOptions,
    private readonly server: Server,
  ) {
    this.awake = new Awake(options.limits.awakeUs);
    server.on("connection", (socket) => this.accept(socket));
    server.on("error", () => {}); // accept failed (no file handles): the dialler will come again or take NATS
  }

  /**
   * Listens. Makes the directory with mode 0700 if there is none.
   * @throws InvalidOptionError where the path is too long; AuthError where others could get into the directory;
   *   ConnectionError where listening fails
   */
  static async open(options: HubOptions): Promise<SocketHub> {
    const { directory, process } = options;
    const path = socketPath(directory, process);
    if (Buffer.byteLength(path) > LONGEST_PATH)
      throw new InvalidOptionError(
        `socketDir: "${directory}" is too long: the path of a Unix socket may have ${LONGEST_PATH} bytes, "${path}" has more; take a shorter directory`,
      );
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const { mode, uid } = await stat(directory);
    if ((mode & 0o077) !== 0 || uid !== globalThis.process.getuid?.())
      throw new AuthError(
        `socketDir: "${directory}" must belong to this user and be closed to others (mode 0700); it has mode 0${(mode & 0o777).toString(8)} and owner ${uid}`,
      );
    const server = createServer();
    await new Promise<void>((resolve, reject) => {
      server.once("error", (cause) =>
        reject(new ConnectionError(`can't listen on the Unix socket ${path}: ${cause.message}`, { cause })),
      );
      server.listen(path, resolve);
    });
    server.removeAllListeners("error");
    if (options.background) server.unref();
    return new SocketHub(options, server);
  }

  get size(): number {
    return this.links.size;
  }

  /** Dials, unless that is under way or the other side is at it. */
  dial(process: ProcessId): void {
    if (this.closed || this.dials.has(process) || this.entering.has(process)) return;
    const socket = this.track(connect(socketPath(this.options.directory, process)));
    this.dials.set(process, socket);
    socket.once("error", (error: NodeJS.ErrnoException) => {
      if (this.dials.get(process) !== socket) return;
      this.dials.delete(process);
      this.options.events.dialFailed(process, error.code === "ENOENT" || error.code === "ECONNREFUSED");
    });
    socket.once("connect", () => {
      greet(socket, process, this.handshake(), {
        proven: (_, deframer) => {
          if (this.dials.get(process) === socket) {
            this.dials.delete(process);
            this.adopt(socket, process, deframer);
          } else socket.destroy();
        },
        failed: (error) => {
          if (error instanceof AuthError) this.options.events.unproven(error);
          if (this.dials.get(process) !== socket) return;
          this.dials.delete(process);
          this.options.events.dialFailed(process, false);
        },
      });
    });
  }

  /** Breaks the socket to a process, or all, as a fault would. */
  break(process?: ProcessId): void {
    for (const link of this.links.values())
      if (process === undefined || link.process === process) link.break();
  }

  /** The process is dead. */
  drop(process: ProcessId): void {
    const link = this.links.get(process);
    if (link === undefined) return;
    this.links.delete(process);
    link.close();
    this.options.events.lost(link);
  }

  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    const { links, dials, strangers, sockets, server } = this;
    server.ref(); // whoever closes waits for the end of it
    const stopped = new Promise<void>((resolve) => server.close(() => resolve()));
    for (const socket of strangers) socket.destroy();
    for (const link of links.values()) link.close();
    links.clear();
    dials.clear();
    // A peer that does not read must not keep us.
    const patience = setTimeout(() => sockets.forEach((socket) => socket.destroy()), CLOSE_MS);
    await stopped;
    while (sockets.size > 0) await new Promise((resolve) => [...sockets][0]?.once("close", resolve));
    clearTimeout(patience);
    await unlink(socketPath(this.options.directory, this.options.process)).catch(() => {}); // the server did it
  }

  private track(socket: Socket): Socket {
    this.sockets.add(socket);
    this.strangers.add(socket);
    if (this.options.background) socket.unref();
    return socket.once("close", () => {
      this.sockets.delete(socket);
      this.strangers.delete(socket);
    });
  }

  private handshake(): HandshakeOptions {
    const { process, secret, limits } = this.options;
    return { process, secret, timeoutMs: limits.handshakeMs };
  }

  private accept(socket: Socket): void {
    if (this.closed) return void socket.destroy();
    this.track(socket);
    let claimed: ProcessId | undefined;
    const outcome: Outcome = {
      proven: (process, deframer) => {
        this.entering.delete(process);
        this.adopt(socket, process, deframer);
      },
      failed: (error) => {
        if (error instanceof AuthError) this.options.events.unproven(error);
        if (claimed === undefined || this.entering.get(claimed) !== socket) return;
        this.entering.delete(claimed);
        this.options.events.dialFailed(claimed, false);
      },
    };
    receive(
      socket,
      this.handshake(),
      (process) => this.mayEnter(process, socket, () => (claimed = process)),
      outcome,
    );
  }

  /** Of two processes that dial each other at once, the one with the smaller id goes on. */
  private mayEnter(process: ProcessId, socket: Socket, enter: () => void): boolean {
    const own = this.dials.get(process);
    if (own !== undefined) {
      if (this.options.process < process) return false;
      this.dials.delete(process);
      own.destroy();
    }
    this.entering.get(process)?.destroy();
    this.entering.set(process, socket);
    enter();
    return true;
  }

  private adopt(socket: Socket, process: ProcessId, deframer: Deframer): void {
    if (this.closed) return void socket.destroy();
    this.strangers.delete(socket);
    const { limits, stats, events } = this.options;
    const most = limits.messageBytes + limits.frameBytes;
    const older = this.links.get(process);
    const link: SocketLink = new SocketLink(process, socket, deframer, most, stats, this.awake, {
      frame: events.frame,
      garbage: events.garbage,
      lost: () => {
        if (this.links.get(process) !== link) return;
        this.links.delete(process);
        events.lost(link);
      },
    });
    this.links.set(process, link);
    older?.close();
    events.up(link);
  }
}

function socketPath(directory: string, process: ProcessId): string {
  return join(directory, `${process}.sock`);
}
