/** Channels to processes that many actors live in: one to each, whatever number of its actors is called. */
import type { ActorId, ActorView, NodeId, ProcessId } from "@stingray/protocol";
import type { Channel, Endpoint } from "@stingray/broker";
import type { ActorClient } from "./client.js";

/** Of the endpoint of such a process, which is never made again. */
const HOST_EPOCH = 1;

export class HostChannels {
  private readonly watched = new WeakSet<Channel>();

  constructor(
    private readonly inbox: Endpoint,
    private readonly clients: () => Iterable<ActorClient>,
  ) {}

  to({ process, node }: ActorView, host: ActorId): Channel {
    const channel = this.inbox.channel({
      endpoint: host,
      epoch: HOST_EPOCH,
      process: process as ProcessId,
      node: node as NodeId,
    });
    if (!this.watched.has(channel)) {
      this.watched.add(channel);
      channel.onClose(() => this.closed(channel));
    }
    return channel;
  }

  private closed(channel: Channel): void {
    for (const client of [...this.clients()]) {
      const { state } = client;
      if ((state.kind === "alive" || state.kind === "leaving") && state.channel === channel)
        client.apply({ kind: "broken", epoch: state.epoch });
    }
  }
}
