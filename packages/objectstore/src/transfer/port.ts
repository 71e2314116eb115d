/** The data port of a node: serves objects of its store, whole or still arriving, and takes uploads. */
import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { networkInterfaces } from "node:os";
import { ConnectionError, StingrayError, toError, type DataAddress } from "@stingray/protocol";
import { PORT_LIMITS, type PortLimits } from "./limits.js";
import type { Connection, Port } from "./port-behind.js";
import { PortConnection } from "./port-connection.js";
import { Serving } from "./serving.js";
import type { Incoming, Outgoing } from "./types.js";
import { Uploads, type Upload } from "./uploads.js";
import { Wire } from "./wire.js";

export interface DataPortOptions {
  /** Address to listen on. Default: all. */
  host?: string | undefined;
  /** Default 0: a free one. */
  port?: number | undefined;
  /** Whoever knows it may ask and upload. Random, one per agent: `newSecret()`. */
  key: string;
  /** What others are told to connect to. Default: `host`, or else the addresses of this machine. */
  advertise?: readonly string[] | undefined;
  /** An object to be sent; undefined: there is no copy here. What it throws is told to the asker. */
  open(object: string, peer: string): Promise<Outgoing | undefined>;
  /** Room for an object that this peer says it has created; undefined: it may not. */
  accept(object: string, size: number, peer: string): Promise<Incoming | undefined>;
  /** Bytes of chunks that went out. */
  onSent?: ((bytes: number) => void) | undefined;
  /** A connection ended otherwise than by the peer's will. The port goes on. */
  onProblem?: ((error: Error) => void) | undefined;
  limits?: Partial<PortLimits> | undefined;
}

/** How often connections are looked at that hang. Milliseconds, at most; more often where limits are short. */
const SWEEP_MS = 1_000;

export class DataPort {
  /** Where it is reached. */
  readonly address: DataAddress;
  readonly #options: DataPortOptions;
  readonly #limits: PortLimits;
  readonly #server: Server;
  readonly #port: Port;
  readonly #connections = new Set<Connection>();
  readonly #servings = new Map<string, Serving>();
  readonly #uploads: Uploads;
  readonly #waiting = new Set<Connection>();
  readonly #sweeper: NodeJS.Timeout;
  #queued = 0;
  #unproven = 0;
  #closed = false;

  private constructor(options: DataPortOptions, limits: PortLimits, server: Server) {
    this.#options = options;
    this.#limits = limits;
    this.#server = server;
    const { address, port } = server.address() as AddressInfo;
    this.address = { hosts: [...(options.advertise ?? reachable(address))], port, key: options.key };
    this.#uploads = new Uploads((object, size, peer) => options.accept(object, size, peer), limits.lingerMs);
    this.#port = this.#behind();
    server.on("connection", (socket) => this.#accepted(socket));
    server.on("error", (error) => this.#problem(error));
    const { handshakeMs, stallMs, idleMs, lingerMs } = limits;
    const period = Math.max(
      20,
      Math.min(SWEEP_MS, ...[handshakeMs, stallMs, idleMs, lingerMs].map((ms) => ms / 4)),
    );
    this.#sweeper = setInterval(() => this.#sweep(), period).unref();
  }

  /** @throws ConnectionError if the address can't be listened on */
  static async listen(options: DataPortOptions): Promise<DataPort> {
    const limits = { ...PORT_LIMITS, ...withoutUndefined(options.limits ?? {}) };
    const server = createServer();
    const { host, port = 0 } = options;
    await new Promise<void>((resolve, reject) => {
      server.once("error", (cause) =>
        reject(
          new ConnectionError(
            `no data port could be opened on ${host ?? "any address"}:${port}; choose another port, or leave it out`,
            { cause },
          ),
        ),
      );
      server.listen({ port, host }, resolve);
    });
    server.removeAllListeners("error");
    server.unref();
    return new DataPort(options, limits, server);
  }

  /** Connections that stand. */
  get connections(): number {
    return this.#connections.size;
  }

  /** Ends all connections at once. What is unfinished of uploads is closed as incomplete. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#sweeper);
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    const reason = new ConnectionError("this data port is closed");
    for (const connection of [...this.#connections]) connection.destroy(reason);
    this.#uploads.close();
    await closed;
  }

  #accepted(socket: Socket): void {
    if (this.#connections.size >= this.#limits.connections || this.#unproven >= this.#limits.unproven) {
      socket.on("error", () => {});
      socket.destroy();
      this.#problem(
        new ConnectionError(
          `a data connection was refused: ${this.#connections.size} stand, ${this.#unproven} of them not proven yet`,
        ),
      );
      return;
    }
    socket.unref();
    const connection = new PortConnection(this.#port);
    this.#connections.add(connection);
    this.#unproven++;
    connection.start(Wire.accepted(socket, connection));
  }

  #behind(): Port {
    const { key } = this.#options;
    return {
      key,
      limits: this.#limits,
      open: (object, peer) => this.#options.open(object, peer),
      serving: (object) => {
        const known = this.#servings.get(object);
        if (known !== undefined) return known;
        const serving = new Serving(object, this.#limits.lingerMs);
        this.#servings.set(object, serving);
        return serving;
      },
      upload: (object, size, peer): Promise<Upload | undefined> => this.#uploads.begin(object, size, peer),
      reserve: (bytes, connection) => {
        if (this.#queued > 0 && this.#queued + bytes > this.#limits.queued) {
          this.#waiting.add(connection);
          return false;
        }
        this.#queued += bytes;
        return true;
      },
      free: (bytes) => this.#free(bytes),
      sent: (bytes) => this.#options.onSent?.(bytes),
      proven: () => void this.#unproven--,
      gone: (connection, error) => this.#gone(connection, error),
    };
  }

  #free(bytes: number): void {
    this.#queued -= bytes;
    for (const connection of this.#waiting) {
      if (this.#queued + bytes > this.#limits.queued) return;
      this.#waiting.delete(connection);
      connection.resume();
    }
  }

  #gone(connection: Connection, error: Error): void {
    this.#connections.delete(connection);
    this.#waiting.delete(connection);
    if (connection.peer === undefined) this.#unproven--;
    if (!this.#closed && !(error instanceof ConnectionError)) this.#problem(error);
  }

  #problem(error: Error): void {
    this.#options.onProblem?.(error instanceof StingrayError ? error : toError(error));
  }

  #sweep(): void {
    const now = performance.now();
    for (const connection of [...this.#connections]) connection.sweep(now);
    for (const [object, serving] of this.#servings) {
      serving.sweep(now);
      if (serving.forgotten) this.#servings.delete(object);
    }
    this.#uploads.sweep(now);
  }
}

/** Addresses of this machine as others see it; loopback where it has no others. */
function reachable(bound: string): string[] {
  if (bound !== "::" && bound !== "0.0.0.0") return [bound];
  const found = Object.values(networkInterfaces())
    .flatMap((list) => list ?? [])
    .filter(
      (one) => !one.internal && (one.family === "IPv4" || (bound === "::" && (one.scopeid ?? 0) === 0)),
    );
  found.sort((a, b) => Number(a.family === "IPv6") - Number(b.family === "IPv6"));
  return found.length === 0 ? ["127.0.0.1"] : found.map((one) => one.address);
}

function withoutUndefined<T extends object>(limits: T): T {
  return Object.fromEntries(Object.entries(limits).filter(([, value]) => value !== undefined)) as T;
}
