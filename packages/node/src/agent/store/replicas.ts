/** `put` with several copies: other nodes are asked to keep the object, those with the most room in their stores first. */
import { UnschedulableError, toError, type NodeView, type StoreWanted } from "@stingray/protocol";

export interface ReplicaHooks {
  readonly node: string;
  readonly agent: string;
  /** The nodes of the cluster, as heard last. */
  nodes(): readonly NodeView[] | Promise<readonly NodeView[]>;
  /** `store.keep` at another agent. */
  keep(node: string, agent: string, wanted: StoreWanted): Promise<unknown>;
  /** Has another agent drop what it has, or is about to have. */
  free(node: string, agent: string, object: string): void;
}

type Copy = [node: string, agent: string];

/**
 * Resolves when `copies` nodes have the object of this one, itself included.
 * @throws UnschedulableError where there are not so many nodes, or too many of them could not take it
 */
export async function replicate(
  wanted: { object: string; size: number; copies: number },
  hooks: ReplicaHooks,
): Promise<Copy[]> {
  const { object, size, copies } = wanted;
  const own: Copy = [hooks.node, hooks.agent];
  const candidates = (await hooks.nodes())
    .filter(({ node, state }) => node !== hooks.node && state === "ALIVE")
    .sort((a, b) => room(b) - room(a));
  const missing = copies - 1;
  if (candidates.length < missing) {
    throw new UnschedulableError(
      `${copies} copies of object ${object} need ${copies} nodes, and the cluster has ${candidates.length + 1} that are alive; ask for fewer, or start more nodes`,
      { detail: { object, copies, nodes: candidates.length + 1 } },
    );
  }
  const kept: Copy[] = [];
  const failures: string[] = [];
  let next = 0;
  const keepOne = async (): Promise<void> => {
    for (;;) {
      const candidate = candidates[next++];
      if (candidate === undefined) return;
      const { node, agent } = candidate;
      try {
        await hooks.keep(node, agent, { object, size, copies: [own, ...kept] });
        kept.push([node, agent]);
        return;
      } catch (error) {
        hooks.free(node, agent, object); // it may only have been too late
        failures.push(`${node}: ${toError(error).message}`);
      }
    }
  };
  await Promise.all(Array.from({ length: missing }, keepOne));
  if (kept.length === missing) return [own, ...kept];
  for (const [node, agent] of kept) hooks.free(node, agent, object);
  throw new UnschedulableError(
    `object ${object} (${size} bytes) has ${kept.length + 1} of ${copies} copies, no other node could take one: ${failures.join("; ")}`,
    { detail: { object, copies, kept: kept.length + 1 } },
  );
}

function room({ storeUsed, storeCapacity }: NodeView): number {
  return storeCapacity - storeUsed;
}
