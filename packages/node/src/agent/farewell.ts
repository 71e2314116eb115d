/** The last words of a node that leaves in good order: others learn at once that it is gone. */
import { ConnectionError, type NodeId } from "@stingray/protocol";
import type { AgentTables } from "./tokens.js";

/** A broker that does not answer is not waited for any longer, in milliseconds. */
const FAREWELL_MS = 1_000;

/**
 * @param reason for those who ask why the node is gone: `it was stopped: …`
 * @throws ConnectionError where the broker does not answer in time: the node is declared dead then, a little later
 */
export async function farewell(
  node: NodeId,
  reason: string,
  { nodes, nodeCache }: Pick<AgentTables, "nodes" | "nodeCache">,
): Promise<void> {
  const row = nodeCache.get(node);
  if (row?.value.state === "DEAD") return;
  // The last node leaves nobody behind who would sweep its row up.
  const alone = [...nodeCache.entries()].every(({ value }) => value.node === node || value.state === "DEAD");
  const last: Promise<unknown> =
    alone || row === undefined
      ? nodes.delete(node)
      : nodes.put(node, { ...row.value, state: "DEAD", reason });
  await withDeadline(last, FAREWELL_MS);
}

function withDeadline(work: Promise<unknown>, ms: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const late = (): void => reject(new ConnectionError(`the broker did not answer within ${ms} ms`));
    const timer = setTimeout(late, ms);
    work.finally(() => clearTimeout(timer)).then(() => resolve(), reject);
  });
}
