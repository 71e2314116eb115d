/**
 * Ends the socket of a connection whose server fell silent. The client first waits until all that was written has
 * left, which for a stopped server with a full socket buffer is never: without this it would not try another one.
 */
import type { Socket } from "node:net";
import type { NatsConnection } from "@nats-io/transport-node";

/** Time for the client's own way of closing, in milliseconds. */
const GRACE_MS = 200;

/** The client does not offer its socket; where a newer one keeps it elsewhere, nothing is done. */
interface WithSocket {
  protocol?: { transport?: { socket?: Socket } };
}

export function dropWhenStale(nc: NatsConnection): void {
  void follow(nc);
}

async function follow(nc: NatsConnection): Promise<void> {
  for await (const status of nc.status()) {
    if (status.type !== "staleConnection") continue;
    const socket = (nc as unknown as WithSocket).protocol?.transport?.socket;
    setTimeout(() => socket?.destroy(), GRACE_MS);
  }
}
