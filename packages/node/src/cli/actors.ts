/** `stingray actors`: the actors of a cluster, one line each. */
import { askActors } from "./actors-state.js";
import { describeActorTable } from "./actors-text.js";
import { findClusters, type ClusterFlags } from "./cluster-state.js";
import type { Output } from "./output.js";

export interface ActorsFlags extends ClusterFlags {
  json?: boolean;
  all?: boolean;
  state?: string[];
  limit: number;
}

/** Workers of a node whose figures are looked for. */
const MOST_WORKERS = 10_000;
/** Dead ones are shown with all, or when they are asked for. */
const ALL_STATES = ["ALIVE", "PENDING", "RESTARTING", "PASSIVE", "DEAD"];

/** @returns the exit code. @throws ConnectionError where nothing runs or nothing answers */
export async function showActors(flags: ActorsFlags, runtimeDir: string, out: Output): Promise<number> {
  const found = await findClusters(flags, runtimeDir, out);
  const { limit } = flags;
  const states = flags.state?.map((state) => state.toUpperCase()) ?? (flags.all === true ? ALL_STATES : []);
  const clusters = await Promise.all(
    found.map(async (one) => ({
      cluster: one.cluster,
      servers: one.servers,
      state: await askActors(one, flags, { states, limit, deaths: 0, workers: MOST_WORKERS }),
    })),
  );
  if (flags.json === true) {
    const shown = clusters.map(({ cluster, state: { listing, vitals, silent } }) => ({
      cluster,
      ...listing,
      nodes: vitals,
      silent,
    }));
    out.say(JSON.stringify({ clusters: shown }, undefined, 2));
  } else {
    const texts = clusters.map(
      ({ cluster, servers, state }) =>
        `Cluster "${cluster}" on ${servers.join(", ")}\n${describeActorTable(state)}`,
    );
    out.say(texts.join("\n\n"));
  }
  return clusters.some(({ state }) => state.listing !== undefined) ? 0 : 1;
}
