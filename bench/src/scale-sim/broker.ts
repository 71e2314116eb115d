/** A nats-server of the run's own, and what its monitoring says of it. */
import { randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { BrokerOptions } from "@stingray/broker/connect";
import { startServer } from "@stingray/broker/server";
import { StingrayError } from "@stingray/protocol";

/** Counters since the start of the server, and what it uses now. */
export interface BrokerFigures {
  /** Messages and bytes that clients have published. */
  inMessages: number;
  inBytes: number;
  /** Messages and bytes that were delivered to clients. */
  outMessages: number;
  outBytes: number;
  /** Resident, in bytes. */
  memory: number;
  connections: number;
  subscriptions: number;
  /** Clients that were cut off because they did not read. */
  slowConsumers: number;
}

export interface MonitoredBroker extends AsyncDisposable {
  readonly options: BrokerOptions;
  readonly pid: number;
  figures(): Promise<BrokerFigures>;
}

const ASK_MS = 10_000;

/**
 * Starts a nats-server with monitoring on free ports of the loopback; it ends with this process.
 * @throws ConnectionError where it does not start
 */
export async function startMonitoredBroker(): Promise<MonitoredBroker> {
  const token = randomBytes(24).toString("base64url");
  const dir = await mkdtemp(join(tmpdir(), "stingray-scale-"));
  const config = join(dir, "nats-server.conf");
  try {
    const text = `host: "127.0.0.1"\nport: -1\nhttp: "127.0.0.1:-1"\nauthorization { token: "${token}" }\n`;
    await writeFile(config, text, { mode: 0o600 });
    const server = await startServer({ config });
    const monitoring = server.ports.monitoring?.[0];
    if (monitoring === undefined || server.pid === undefined) {
      await server.stop();
      throw new StingrayError("the nats-server has no monitoring port; is it older than 2.9.10?");
    }
    return {
      options: { servers: [server.url], auth: { token }, timeoutMs: 30_000 },
      pid: server.pid,
      figures: () => readFigures(monitoring),
      [Symbol.asyncDispose]: () => server.stop(),
    };
  } finally {
    await rm(dir, { recursive: true, force: true }); // it was read
  }
}

async function readFigures(monitoring: string): Promise<BrokerFigures> {
  const response = await fetch(`${monitoring}/varz`, { signal: AbortSignal.timeout(ASK_MS) });
  const varz = (await response.json()) as Record<string, unknown>;
  const number = (name: string): number => {
    const value = varz[name];
    if (typeof value === "number") return value;
    throw new StingrayError(`the monitoring of the nats-server says nothing of ${name}`);
  };
  return {
    inMessages: number("in_msgs"),
    inBytes: number("in_bytes"),
    outMessages: number("out_msgs"),
    outBytes: number("out_bytes"),
    memory: number("mem"),
    connections: number("connections"),
    subscriptions: number("subscriptions"),
    slowConsumers: number("slow_consumers"),
  };
}
