/**
 * What a worker process is told when it starts: one line of JSON on its standard input, so that the secret shows
 * neither in its arguments nor in the environment that user code hands on to its own children.
 */
import type { NodeId, ProcessId } from "@stingray/protocol";
import type { BrokerOptions } from "@stingray/broker/connect";

export interface WorkerConfig {
  /** Of the protocol, as the agent speaks it: a mixed installation shows here, before any socket is opened. */
  version: number;
  worker: ProcessId;
  node: NodeId;
  /** The agent that started it. */
  agent: ProcessId;
  /** Its process id. */
  parentPid: number;
  subjectRoot: string;
  cluster: string;
  /** Directory (0700) of the Unix sockets of this node's processes, one `<process>.sock` each. */
  socketDir: string;
  /** Proves to the processes of this node that this one belongs to it. */
  secret: string;
  /** Directory of the node's object store in shared memory; an object lies in `<storeDir>/<object id>`. */
  storeDir: string;
  links: "auto" | "nats";
  broker: BrokerOptions;
}
