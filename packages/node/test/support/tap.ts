/** Stands between a client and its broker, and sees each message that is delivered to the client. */
import { createServer, connect, type Server, type Socket } from "node:net";
import type { AddressInfo } from "node:net";
import type { BrokerOptions } from "@stingray/broker/connect";

export interface Delivered {
  readonly subject: string;
  readonly payload: Buffer;
}

const CRLF = "\r\n";

/** Takes the MSG and HMSG frames out of what a server sends. */
export class FrameReader {
  private rest: Buffer = Buffer.alloc(0);
  private wanted: { subject: string; header: number; total: number } | undefined;

  constructor(private readonly seen: (message: Delivered) => void) {}

  push(chunk: Buffer): void {
    this.rest = this.rest.length === 0 ? chunk : Buffer.concat([this.rest, chunk]);
    for (;;) {
      if (this.wanted !== undefined) {
        const { subject, header, total } = this.wanted;
        if (this.rest.length < total + CRLF.length) return;
        this.seen({ subject, payload: Buffer.from(this.rest.subarray(header, total)) });
        this.rest = this.rest.subarray(total + CRLF.length);
        this.wanted = undefined;
      }
      const end = this.rest.indexOf(CRLF);
      if (end < 0) return;
      this.line(this.rest.toString("latin1", 0, end));
      this.rest = this.rest.subarray(end + CRLF.length);
    }
  }

  /** `MSG <subject> <sid> [reply] <bytes>` or `HMSG <subject> <sid> [reply] <header bytes> <all bytes>`. */
  private line(line: string): void {
    const [verb, subject = "", ...rest] = line.split(" ");
    if (verb === "MSG") this.wanted = { subject, header: 0, total: Number(rest.at(-1)) };
    else if (verb === "HMSG")
      this.wanted = { subject, header: Number(rest.at(-2)), total: Number(rest.at(-1)) };
  }
}

export class Tap {
  private readonly sockets = new Set<Socket>();

  private constructor(
    private readonly server: Server,
    readonly broker: BrokerOptions,
  ) {}

  /** @param broker the real one; `Tap.broker` is how to reach it through the tap */
  static async start(broker: BrokerOptions, seen: (message: Delivered) => void): Promise<Tap> {
    const { hostname, port } = new URL(broker.servers[0] ?? "");
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address() as AddressInfo;
    const tap = new Tap(server, { ...broker, servers: [`nats://127.0.0.1:${address.port}`] });
    server.on("connection", (client) => {
      const upstream = connect(Number(port), hostname);
      const reader = new FrameReader(seen);
      upstream.on("data", (chunk) => reader.push(chunk));
      for (const [from, to] of [
        [client, upstream],
        [upstream, client],
      ] as const) {
        tap.sockets.add(from);
        from.pipe(to);
        from.on("error", () => to.destroy());
        from.on("close", () => {
          tap.sockets.delete(from);
          to.destroy();
        });
      }
    });
    return tap;
  }

  async close(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    await new Promise<void>((resolve) => {
      this.server.close(() => resolve());
    });
  }
}
