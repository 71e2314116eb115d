/** What the agents of a cluster say of its actors and of the processes that they live in. */
import { Agent, toError, type ActorListing, type NodeVitals, type NodeView } from "@stingray/protocol";
import type { FoundCluster } from "./cluster-state.js";
import type { ConnectionFlags } from "./connection-options.js";
import { NodeLinks } from "./node-links.js";

/** Of more nodes than these, the rest is not asked how its workers do. */
const MOST_NODES = 64;

export interface ActorsState {
  /** Those that are wanted; undefined where no agent answers. */
  listing: ActorListing | undefined;
  /** Those that died last. */
  deaths: ActorListing | undefined;
  vitals: { node: string; vitals: NodeVitals }[];
  /** Nodes that did not answer, with the reason, and those that were not asked. */
  silent: { node: string; reason: string }[];
}

export interface ActorsAsk {
  /** Of the listing; none: all but the dead. */
  states: readonly string[];
  limit: number;
  deaths: number;
  /** Workers of each node. */
  workers: number;
}

/** All rows are known to every agent, so one is asked for them; how workers do, each knows of its own. */
export async function askActors(
  found: FoundCluster,
  flags: ConnectionFlags,
  { states, limit, deaths, workers }: ActorsAsk,
): Promise<ActorsState> {
  await using links = new NodeLinks(found, flags);
  const living = found.nodes.filter(({ state }) => state !== "DEAD");
  const state: ActorsState = { listing: undefined, deaths: undefined, vitals: [], silent: [] };
  for (const { node } of living.slice(MOST_NODES))
    state.silent.push({ node, reason: `not asked, as there are more than ${MOST_NODES} nodes` });
  const rows = async (): Promise<void> => {
    for (const node of living) {
      try {
        state.listing = await links.ask(node, Agent.actorTable, { states: [...states], limit });
        state.deaths = await links.ask(node, Agent.actorTable, { states: ["DEAD"], limit: deaths });
        return;
      } catch {
        continue; // the next one knows the same
      }
    }
  };
  const ask = async (node: NodeView): Promise<void> => {
    try {
      state.vitals.push({
        node: node.node,
        vitals: await links.ask(node, Agent.nodeVitals, { limit: workers }),
      });
    } catch (thrown) {
      state.silent.push({ node: node.node, reason: toError(thrown).message });
    }
  };
  await Promise.all([rows(), ...living.slice(0, MOST_NODES).map(ask)]);
  return state;
}
