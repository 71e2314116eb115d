/** Changes what a running node has. */
import type { NodeRow, Table } from "@stingray/gcs-kv";
import { ConnectionError, InvalidOptionError } from "@stingray/protocol";
import type { LeaseScheduler, ResourceAccount } from "@stingray/scheduler";

export interface ResourceParts {
  node: string;
  account: ResourceAccount;
  scheduler: LeaseScheduler;
  nodes: Table<NodeRow>;
  /** GPUs that the node began with: it knows no others. */
  gpus: number;
  /** The next heartbeat should say so. */
  changed(): void;
  failed(what: string, error: unknown): void;
}

const MAX_NAME = 128;
/** Others write the row, too, but seldom. */
const MAX_ATTEMPTS = 10;

/**
 * Sets the amount of a resource, 0 to remove it. What is in use stays in use: until it comes back, free amounts may be
 * below zero, and nothing more is given.
 * @throws InvalidOptionError for a name or an amount that makes no sense, and for more GPUs than the node began with
 */
export function setResource(p: ResourceParts, name: string, amount: number): void {
  if (name.trim() !== name || name === "" || name.length > MAX_NAME || /\p{C}/u.test(name)) {
    throw new InvalidOptionError(
      `${JSON.stringify(name)} is no name of a resource: give one of 1 to ${MAX_NAME} characters`,
    );
  }
  if (name === "GPU" && amount > p.gpus) {
    throw new InvalidOptionError(
      `node ${p.node} began with ${p.gpus} GPUs and can't have ${amount} while it runs: ` +
        `start it anew, with --gpus where they are not found`,
    );
  }
  p.account.setTotal(name, amount);
  p.scheduler.capacityChanged(name);
  p.changed();
  // Nobody decides by the row: it is for people, and may come later.
  writeRow(p).catch((error: unknown) => p.failed("write down what this node has", error));
}

async function writeRow({ node, nodes, account }: ResourceParts): Promise<void> {
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    const row = await nodes.get(node);
    if (row === undefined || row.value.state === "DEAD") return;
    const written = await nodes.update(node, { ...row.value, total: account.total }, row.revision);
    if (written.ok) return;
  }
  throw new ConnectionError(`the row of node ${node} changed ${MAX_ATTEMPTS} times meanwhile; set it again`);
}
