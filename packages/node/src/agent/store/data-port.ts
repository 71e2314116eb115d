/** The data port of this node: serves objects and what has come of them so far, and takes uploads. */
import { DataPort, type Incoming, type NodeStore, type Outgoing } from "@stingray/objectstore";
import { newSecret, type DataAddress } from "@stingray/protocol";
import { Arriving } from "./arriving.js";
import type { AgentConfig } from "../options.js";
import type { Pulls } from "./pulls.js";

export interface PortParts {
  readonly store: NodeStore;
  readonly pulls: () => Pulls;
  /** Bytes that went to other processes. */
  readonly sent: (bytes: number) => void;
}

/** What the rest of the agent sees of it. */
export interface ObjectPort {
  readonly address: DataAddress;
  close(): Promise<void>;
}

/** Where everything is to go over the broker, nobody is told of a port. */
const NONE: ObjectPort = { address: { hosts: [], port: 0, key: "" }, close: () => Promise.resolve() };

/** @throws InvalidOptionError, ConnectionError where it can't listen there */
export async function listenForData(config: AgentConfig, parts: PortParts): Promise<ObjectPort> {
  if (config.links === "nats") return NONE;
  return DataPort.listen({
    ...(config.dataHost === undefined ? {} : { host: config.dataHost }),
    port: config.dataPort,
    key: newSecret(),
    advertise: config.advertisedHosts,
    open: async (object) => (await whole(parts.store, object)) ?? parts.pulls().partial(object),
    accept: async (object, size, peer) => upload(parts.store, object, size, peer),
    onSent: parts.sent,
    onProblem: (error) => config.log(`data port: ${error.message}`),
  });
}

async function whole(store: NodeStore, object: string): Promise<Outgoing | undefined> {
  store.sealIfWhole(object);
  const opened = await store.bytes(object);
  if (opened === undefined) return undefined;
  const { bytes, tag } = opened;
  return {
    size: bytes.length,
    tag,
    read: (offset, length) => bytes.subarray(offset, offset + length),
    close: () => opened.release(),
  };
}

/** `store.seal` completes it, `StoreAbandoned` or the end of the peer gives it up. */
function upload(store: NodeStore, object: string, size: number, peer: string): Incoming | undefined {
  const arrival = store.arrival(object, peer);
  return arrival === undefined || arrival.size !== size ? undefined : new Arriving(arrival);
}
