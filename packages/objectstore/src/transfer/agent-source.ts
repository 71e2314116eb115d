/** The agent of a node as a source, or the goal of an upload: its data port, and the same over the links between processes. */
import { Agent, type Method } from "@stingray/protocol";
import type { Source } from "./types.js";

const ADDRESS_MS = 5_000;
/** One piece over the links. Milliseconds. */
const PIECE_MS = 30_000;

/** A channel to the agent, as far as it is needed here. */
export interface AgentRequests {
  request<Q, A>(method: Method<Q, A>, ask: Q, o: { timeoutMs: number }): Promise<A>;
}

/** @param agent its process id, by which sources are told apart */
export function agentSource(object: string, agent: string, channel: AgentRequests): Source {
  return {
    name: agent,
    address: async () => {
      const address = await channel.request(Agent.storeAddress, {}, { timeoutMs: ADDRESS_MS });
      return address.hosts.length === 0 ? undefined : address;
    },
    read: (offset, length) =>
      channel.request(Agent.storeRead, { object, offset, length }, { timeoutMs: PIECE_MS }),
    write: (offset, bytes, crc) =>
      channel.request(Agent.storeWrite, { object, offset, bytes, crc }, { timeoutMs: PIECE_MS }),
  };
}
