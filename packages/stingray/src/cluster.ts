/** What `init()` returns, and what can be asked about the cluster. */
import {
  Agent,
  InvalidArgumentError,
  amount as resourceAmount,
  checkOptions,
  optionText,
  type JobId,
  type NodeId,
  type NodeView,
  type ProcessId,
} from "@stingray/protocol";
import { runtimeFor, type Runtime } from "@stingray/task/internal";

/** Another node may take so long to answer, in milliseconds. */
const SET_MS = 10_000;

/** The cluster that this program is part of. `await using` ends it with its scope. */
export class Cluster implements AsyncDisposable {
  /** @internal Made by `init()`. */
  constructor(
    private readonly runtime: Runtime,
    /** URLs of the broker, without credentials. */
    readonly servers: readonly string[],
    private readonly end: () => Promise<void>,
  ) {}

  /** Of this run of the program. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return `Cluster(${this.servers.join(", ")}, job ${this.jobId})`;
  }

  get jobId(): JobId {
    return this.runtime.job.job as JobId;
  }

  /** The node on this machine; undefined where there is none. */
  get nodeId(): NodeId | undefined {
    return this.runtime.node;
  }

  /** Of named actors, unless another is given. */
  get namespace(): string {
    return this.runtime.job.namespace;
  }

  /** The same as the function `shutdown`. */
  shutdown(): Promise<void> {
    return this.end();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.end();
  }
}

/**
 * The nodes as a node agent sees them now; what others have free is as old as their last heartbeat (at most a second).
 * @throws NotInitializedError; ConnectionError where no agent can be reached
 */
export async function nodes(): Promise<NodeView[]> {
  return (await runtimeFor("nodes()").home.request(Agent.clusterState, {})).nodes;
}

/**
 * Resources of all live nodes together, by name (`CPU`, `GPU`, `memory` in bytes, custom ones).
 * @throws as {@link nodes}
 */
export async function clusterResources(): Promise<Record<string, number>> {
  return sum(await nodes(), (node) => node.total);
}

/**
 * What of them is free.
 * @throws as {@link nodes}
 */
export async function availableResources(): Promise<Record<string, number>> {
  return sum(await nodes(), (node) => node.available);
}

/**
 * Changes how much of a resource a node has, for as long as it runs; 0 removes it. Waiting work that fits then runs. What
 * is in use stays in use: where that is more than there is, nothing more is given until enough has come back.
 *
 * @param name a custom resource, `CPU`, `memory` (bytes), or `GPU`, of which a node can't get more than it began with
 * @param amount in steps of 0.0001
 * @param o `node`: its id. @defaultValue this node
 * @throws InvalidOptionError; InvalidArgumentError for a node that does not live; ConnectionError, TimeoutError where it
 * can't be reached
 */
export async function setResource(
  name: string,
  amount: number,
  o: { node?: string | undefined } = {},
): Promise<void> {
  const runtime = runtimeFor("setResource()");
  checkOptions(
    "setResource()",
    { name: optionText, amount: resourceAmount, node: optionText },
    { name, amount, ...o },
  );
  const node = o.node ?? runtime.home.node;
  if (node === runtime.home.node) {
    await runtime.home.request(Agent.nodeSetResource, { name, amount });
    return;
  }
  const view = (await nodes()).find((one) => one.node === node && one.state !== "DEAD");
  if (view === undefined) {
    throw new InvalidArgumentError(`there is no live node ${node}; nodes() gives those that there are`);
  }
  const agent = view.agent as ProcessId;
  const channel = runtime.transport.inbox.channel({ endpoint: agent, process: agent, node: node as NodeId });
  await channel.request(Agent.nodeSetResource, { name, amount }, { timeoutMs: SET_MS });
}

function sum(
  all: readonly NodeView[],
  of: (node: NodeView) => Record<string, number>,
): Record<string, number> {
  const total: Record<string, number> = {};
  for (const node of all) {
    if (node.state === "DEAD") continue;
    for (const [name, value] of Object.entries(of(node)))
      total[name] = Math.round(((total[name] ?? 0) + value) * 10_000) / 10_000;
  }
  return total;
}
