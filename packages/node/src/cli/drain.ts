/** `stingray drain`: has a node end or move what is on it, and leave. */
import {
  Agent,
  ConnectionError,
  InvalidOptionError,
  StingrayError,
  isNodeId,
  toError,
  type DrainView,
  type NodeView,
  type ProcessId,
} from "@stingray/protocol";
import type { PeerAddress } from "@stingray/broker";
import { describeLeft, describeOutcome } from "../agent/drain/text.js";
import { isAlive } from "../process-info.js";
import { AgentLink } from "./agent-link.js";
import { findClusters, type ClusterFlags, type FoundCluster } from "./cluster-state.js";
import { brokerOptionsOf, type ConnectionFlags } from "./connection-options.js";
import { progressOn, type Output } from "./output.js";

export interface DrainFlags extends ClusterFlags {
  /** Seconds. */
  deadline: number;
  wait: boolean;
  reason: string;
}

/** How long the agent may let an answer wait for something to tell. Milliseconds. */
const ASK_EVERY_MS = 500;
/** When nothing is left, an agent ends within this time. Milliseconds. */
const GONE_MS = 15_000;
const POLL_MS = 25;

/**
 * @returns the exit code: 0 when the node has left (or, without `wait`, is leaving), 1 where something was lost with it
 * @throws InvalidOptionError for what is no id; ConnectionError for a node that is not there, or ends in another way
 */
export async function drainNode(
  id: string,
  flags: DrainFlags,
  runtimeDir: string,
  out: Output,
): Promise<number> {
  if (!isNodeId(id)) throw new InvalidOptionError(`"${id}" is no id of a node; stingray status shows them`);
  const [found, node] = chooseNode(await findClusters(flags, runtimeDir, out), id);
  const file = found.local.find((one) => one.node === node.node);
  await using link = await linkTo(found, node, flags);
  const agent: PeerAddress = {
    endpoint: node.agent as ProcessId,
    process: node.agent as ProcessId,
    node: id,
  };
  const order = { deadlineMs: Math.round(flags.deadline * 1000), reason: flags.reason };
  const first = await link.ask(Agent.nodeDrain, order, agent);
  if (!flags.wait) {
    out.say(`node ${id} is draining: ${describeLeft(first)}; stingray status shows when it is gone`);
    return 0;
  }
  const last = await follow(link, agent, id, first, out);
  if (file === undefined) await link.closed(GONE_MS, agent);
  else await processGone(file, GONE_MS);
  const { lines, lost } = describeOutcome(id, last);
  for (const line of lines) {
    if (lost) out.note(line);
    else out.say(line);
  }
  return lost ? 1 : 0;
}

function chooseNode(clusters: readonly FoundCluster[], id: string): [FoundCluster, NodeView] {
  const there: string[] = [];
  for (const found of clusters) {
    for (const node of found.nodes) {
      if (node.state === "DEAD") continue;
      if (node.node === id) return [found, node];
      there.push(node.node);
    }
  }
  throw new ConnectionError(`there is no live node ${id}; there are: ${there.join(", ")}`);
}

/** To the node itself where it is one of ours on this machine, else through the broker. */
async function linkTo(found: FoundCluster, node: NodeView, flags: ConnectionFlags): Promise<AgentLink> {
  const file = found.local.find((one) => one.node === node.node);
  if (file !== undefined) return AgentLink.toLocal(file);
  const options = found.broker ?? brokerOptionsOf({ ...flags, address: found.servers });
  if (options === undefined) throw new ConnectionError("no address of the broker is known; give --address");
  try {
    return await AgentLink.overBroker(options, found.subjectRoot, found.cluster);
  } catch (cause) {
    if (found.broker !== undefined) throw cause;
    throw new ConnectionError(
      `node ${node.node} is none of this user's on this machine, and the broker can't be asked: ` +
        `${toError(cause).message}; name it with --address, with credentials`,
      { cause },
    );
  }
}

/** Shows how far it has come, until nothing is left. @throws ConnectionError where the node ends before it says so */
async function follow(
  link: AgentLink,
  agent: PeerAddress,
  id: string,
  first: DrainView,
  out: Output,
): Promise<DrainView> {
  const progress = progressOn(out);
  let view = first;
  try {
    while (view.state !== "left") {
      progress.show(`node ${id} is draining: ${describeLeft(view)}`);
      view = await link.ask(Agent.nodeDrained, { waitMs: ASK_EVERY_MS }, agent);
    }
    return view;
  } catch (cause) {
    if (!(cause instanceof StingrayError) || !cause.retryable) throw cause;
    throw new ConnectionError(
      `node ${id} ended, or can't be reached any more, before it had said that nothing is left on it; last there were ` +
        `${describeLeft(view)}: look at stingray status and at the node's log`,
      { cause },
    );
  } finally {
    progress.end();
  }
}

async function processGone(file: { pid: number; startTime: string }, timeoutMs: number): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (isAlive(file.pid, file.startTime) && performance.now() < deadline)
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
}
