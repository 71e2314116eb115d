/** Agents that answer what the command line asks, and do nothing else. Real sockets, real node files. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { NatsConnection } from "@nats-io/nats-core";
import { Transport } from "@stingray/broker";
import {
  Agent,
  Subjects,
  newAgentId,
  newNodeId,
  newSecret,
  type NodeView,
  type StoreListing,
} from "@stingray/protocol";
import { serveJoin } from "../../src/agent/join.js";
import { announceNode } from "../../src/announce.js";

export interface StandIn {
  readonly view: NodeView;
  stop(): Promise<void>;
}

/**
 * @param nodes what it says of the cluster
 * @param listing of its store; undefined: it does not serve that, as one of another version
 * @param broker how it is reached, where it is not announced on this machine
 */
export async function standIn(
  runtimeDir: string,
  nodes: () => NodeView[],
  listing: StoreListing | undefined,
  broker: { connection: NatsConnection | undefined; servers: string[] },
): Promise<StandIn> {
  const [node, agent, secret] = [newNodeId(), newAgentId(), newSecret()];
  const subjects = new Subjects("st", "default");
  const socketDir = join(runtimeDir, node);
  const { connection, servers } = broker;
  if (connection === undefined) mkdirSync(socketDir, { recursive: true, mode: 0o700 });
  const transport = await Transport.create({
    process: agent,
    node,
    subjects,
    ...(connection === undefined ? { socketDir, secret } : { links: "nats" }),
  });
  transport.inbox.serve(Agent.clusterState, () => ({ cluster: "default", nodes: nodes() }));
  if (listing !== undefined) transport.inbox.serve(Agent.storeList, () => structuredClone(listing));
  let leave = (): void => undefined;
  if (connection === undefined) {
    const store = { storeDir: join(socketDir, "store"), total: {}, labels: {} };
    const ready = { node, agent, socketDir, secret, ...store };
    await announceNode(runtimeDir, {
      ready,
      pid: process.pid,
      cluster: "default",
      subjectRoot: "st",
      servers,
      startedBy: "embedded",
    });
  } else {
    transport.attachBroker(connection);
    leave = serveJoin(connection, subjects, { node, agent });
  }
  return {
    view: someView(node, agent),
    async stop() {
      leave();
      await transport.close({ drainMs: 0 });
    },
  };
}

/** Of a node with nothing in it. */
export function someView(node: string = newNodeId(), agent: string = newAgentId()): NodeView {
  return {
    node,
    agent,
    hostname: "host-1",
    pid: process.pid,
    state: "ALIVE",
    labels: {},
    total: {},
    available: {},
    workers: 0,
    actors: 0,
    storeUsed: 0,
    storeCapacity: 0,
    pending: [],
  };
}
