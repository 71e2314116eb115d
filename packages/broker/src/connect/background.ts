/** Lets a process end while its connection to the broker is open, and not before its own work is done. */
import type { Socket } from "node:net";
import type { NatsConnection } from "@nats-io/transport-node";

/** The client does not offer these; where a newer one keeps them elsewhere, its connections keep processes alive. */
interface Inside {
  protocol?: { transport?: { socket?: Socket }; heartbeats?: { timer?: NodeJS.Timeout } };
}

/** Neither its socket nor its ping timer keeps the process alive. Attempts to reconnect still do. */
export function stayInBackground(nc: NatsConnection): void {
  release(nc);
  void follow(nc);
}

/** A reconnect makes another socket, each ping another timer. */
async function follow(nc: NatsConnection): Promise<void> {
  for await (const status of nc.status()) {
    if (status.type === "ping" || status.type === "reconnect") release(nc);
  }
}

function release(nc: NatsConnection): void {
  const { protocol } = nc as unknown as Inside;
  protocol?.transport?.socket?.unref();
  protocol?.heartbeats?.timer?.unref();
}
