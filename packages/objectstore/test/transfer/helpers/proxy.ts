/** A network that does harm: stands between a puller and a port, and does to what the port says what it is told. */
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import type { DataAddress } from "@stingray/protocol";

/** What happens to the bytes of one connection, counted from its beginning, on their way to the puller. */
export interface Harm {
  /** After so many bytes the connection is cut. */
  cutAt?: number;
  /** This byte is changed. */
  flipAt?: number;
  /** After so many bytes nothing more comes, though the connection stands. */
  stallAt?: number;
  /** After so many bytes nothing more is taken from the other side. */
  deafAt?: number;
  /** Bytes per 10 ms; default: no limit. */
  trickle?: number;
}

export class Proxy {
  readonly address: DataAddress;
  connections = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server, address: DataAddress) {
    this.#server = server;
    this.address = address;
  }

  /** `harm` is asked for each connection, by number from 0. `towards`: which direction is harmed. */
  static async to(
    target: DataAddress,
    harm: (connection: number) => Harm,
    towards: "puller" | "port" = "puller",
  ): Promise<Proxy> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    const proxy = new Proxy(server, { hosts: ["127.0.0.1"], port, key: target.key });
    server.on("connection", (near) => {
      const far = connect(target.port, "127.0.0.1");
      proxy.#join(near, far);
      const [from, to] = towards === "puller" ? [far, near] : [near, far];
      to.pipe(from);
      pass(from, to, harm(proxy.connections++));
    });
    return proxy;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #join(near: Socket, far: Socket): void {
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      this.#sockets.add(one);
      one.on("error", () => {});
      one.on("close", () => {
        this.#sockets.delete(one);
        other.destroy();
      });
    }
  }
}

function pass(from: Socket, to: Socket, harm: Harm): void {
  let at = 0;
  from.on("data", (chunk) => {
    const start = at;
    at += chunk.length;
    const { flipAt, cutAt, stallAt, deafAt, trickle } = harm;
    if (flipAt !== undefined && flipAt >= start && flipAt < at)
      chunk[flipAt - start] = (chunk[flipAt - start] as number) ^ 1;
    const end = Math.min(cutAt ?? at, stallAt ?? at, at);
    if (end > start) to.write(chunk.subarray(0, end - start));
    if (cutAt !== undefined && at >= cutAt) {
      to.end(() => to.destroy());
      from.destroy();
    } else if (deafAt !== undefined && at >= deafAt) {
      from.pause();
    } else if (trickle !== undefined) {
      from.pause();
      setTimeout(() => from.resume(), (chunk.length / trickle) * 10);
    } else if (to.writableNeedDrain) {
      from.pause();
      to.once("drain", () => from.resume());
    }
  });
}
