/** Where the processes are that this agent talks to: their node decides which link is tried. */
import type { Channel, Endpoint, PeerAddress } from "@stingray/broker";
import type { NodeId, ProcessId } from "@stingray/protocol";

export class Peers {
  private readonly nodes = new Map<ProcessId, NodeId>();

  constructor(private readonly inbox: Endpoint) {}

  /** Remembers where a process runs. */
  note(process: ProcessId, node: NodeId | undefined): void {
    if (node !== undefined) this.nodes.set(process, node);
  }
  nodeOf(process: ProcessId): NodeId | undefined {
    return this.nodes.get(process);
  }
  /** The processes known to run there. */
  on(node: NodeId): ProcessId[] {
    return [...this.nodes].filter(([, where]) => where === node).map(([process]) => process);
  }
  forget(process: ProcessId): void {
    this.nodes.delete(process);
  }

  channel(process: ProcessId, node = this.nodes.get(process)): Channel {
    const peer: PeerAddress = { endpoint: process };
    if (node !== undefined) peer.node = node;
    return this.inbox.channel(peer);
  }
  /** Sends at once. */
  send(process: ProcessId, message: readonly unknown[]): void {
    const channel = this.channel(process);
    channel.send(message);
    channel.flush();
  }
}
