/**
 * Looks after drivers that have no agent on their machine: their death breaks no socket, and nobody but us would
 * notice it. Any answer, an error too, is a sign of life; a driver that is busy may take its time, and only the
 * broker's word that nobody listens (which closes the channel) counts.
 */
import { Process, type ProcessId } from "@stingray/protocol";
import type { Peers } from "./peers.js";

export class Pulse {
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly peers: Peers,
    private readonly drivers: () => ProcessId[],
    private readonly periodMs: number,
  ) {}

  start(): void {
    this.timer = setInterval(() => this.feel(), this.periodMs);
    this.timer.unref();
  }
  stop(): void {
    clearInterval(this.timer);
  }

  private feel(): void {
    for (const driver of this.drivers()) {
      const channel = this.peers.channel(driver);
      if (channel.closed !== undefined || channel.link === "socket") continue;
      channel.request(Process.ping, {}, { timeoutMs: this.periodMs * 2 }).catch(() => undefined);
    }
  }
}
