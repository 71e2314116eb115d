/** Connections to a broker for the tests, straight or through a proxy that can be cut. */
import { once } from "node:events";
import { connect as dial, createServer, type Server, type Socket } from "node:net";
import type { NatsConnection } from "@nats-io/nats-core";
import { connectBroker } from "@stingray/broker/connect";
import { EmbeddedBroker } from "@stingray/broker/server";

/** A broker with JetStream, and the connections that were made to it. */
export class TestBroker {
  readonly #connections: NatsConnection[] = [];
  readonly #proxies: Proxy[] = [];

  private constructor(readonly server: EmbeddedBroker) {}

  static async start(options: { jetstream?: boolean } = {}): Promise<TestBroker> {
    return new TestBroker(await EmbeddedBroker.start(options));
  }

  async connect(servers = [this.server.url]): Promise<NatsConnection> {
    const connection = await connectBroker({ ...this.server.options, servers });
    this.#connections.push(connection);
    return connection;
  }

  /** A way to the broker that can be cut. */
  async proxy(): Promise<Proxy> {
    const proxy = await Proxy.start(Number(new URL(this.server.url).port));
    this.#proxies.push(proxy);
    return proxy;
  }

  async stop(): Promise<void> {
    await Promise.all(this.#connections.map((connection) => connection.close()));
    await Promise.all(this.#proxies.map((proxy) => proxy.stop()));
    await this.server.stop();
  }
}

export class Proxy {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #open = true;

  private constructor(target: number) {
    this.#server = createServer((near) => {
      if (!this.#open) return void near.destroy();
      const far = dial(target, "127.0.0.1");
      for (const socket of [near, far]) {
        this.#sockets.add(socket);
        socket.on("error", () => {});
        socket.on("close", () => {
          this.#sockets.delete(socket);
          near.destroy();
          far.destroy();
        });
      }
      near.pipe(far);
      far.pipe(near);
    });
  }

  static async start(target: number): Promise<Proxy> {
    const proxy = new Proxy(target);
    proxy.#server.listen(0, "127.0.0.1");
    await once(proxy.#server, "listening");
    return proxy;
  }

  get url(): string {
    const address = this.#server.address();
    return `nats://127.0.0.1:${typeof address === "object" ? address?.port : ""}`;
  }
  cut(): void {
    this.#open = false;
    for (const socket of this.#sockets) socket.destroy();
  }
  heal(): void {
    this.#open = true;
  }
  async stop(): Promise<void> {
    this.cut();
    this.#server.close();
    await once(this.#server, "close");
  }
}
