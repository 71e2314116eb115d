/** How a driver comes into a cluster: one of its own inside the program, or one that runs. */
import type { NatsConnection } from "@nats-io/nats-core";
import { Transport } from "@stingray/broker";
import type { BrokerOptions } from "@stingray/broker/connect";
import { trace } from "@stingray/node/trace";
import {
  ConnectionError,
  DEFAULT_CLUSTER,
  Subjects,
  type JobSpec,
  type NodeId,
  type ProcessId,
} from "@stingray/protocol";
import type { FindHome, HomeAddress } from "@stingray/task/internal";
import { addressesOf, authOf, type InitOptions } from "./init-options.js";

/** The local node of a driver: whose sockets and store it uses. */
export interface LocalNode {
  readonly node: NodeId;
  readonly socketDir: string;
  readonly secret: string;
  readonly storeDir: string;
}

export interface Membership {
  readonly subjects: Subjects;
  readonly home: HomeAddress;
  readonly local: LocalNode | undefined;
  readonly job: JobSpec;
  readonly findHome: FindHome;
  /** URLs of the broker, without credentials. */
  readonly servers: readonly string[];
  /** The connection to the broker, now or as soon as it is there. */
  readonly connection: () => Promise<NatsConnection>;
  /** The cluster is this program's, and ends with it, together with its broker. */
  readonly isOwn?: boolean | undefined;
  /** After the transport is closed: the connection if it is ours, and the cluster if it is. */
  leave(): Promise<void>;
  /** What to do in place of `shutdown()` where a signal ends the program; it calls that. */
  endProgram?: (() => Promise<void>) | undefined;
}

/** How long to look for another agent after ours is gone, and how often. Milliseconds. */
const FIND_HOME_MS = 15_000;
const FIND_EVERY_MS = 250;

export async function enter(
  options: InitOptions,
  driver: ProcessId,
  env: NodeJS.ProcessEnv,
): Promise<Membership> {
  const addresses = addressesOf(options, env);
  if (options.connection === undefined && addresses === undefined) return startEmbedded(options, driver, env);
  return joinRunning(options, addresses ?? [], driver, env);
}

const subjectsOf = (options: InitOptions, env: NodeJS.ProcessEnv): Subjects =>
  new Subjects(options.subjectRoot, options.cluster ?? env["STINGRAY_CLUSTER"] ?? DEFAULT_CLUSTER);

async function startEmbedded(
  options: InitOptions,
  driver: ProcessId,
  env: NodeJS.ProcessEnv,
): Promise<Membership> {
  const [{ startEmbeddedCluster }, { jobOf }] = await Promise.all([
    import("@stingray/node/embedded"),
    import("./job.js"),
  ]);
  const subjects = subjectsOf(options, env);
  const job = jobOf(options, driver, undefined);
  const { cpus, gpus, memory, resources, labels, objectStoreMemory, spillDir, nodes, links } = options;
  const cluster = await startEmbeddedCluster({
    cpus,
    gpus,
    memory,
    resources,
    labels,
    objectStoreMemory,
    spillDir,
    nodes,
    links,
    cluster: subjects.cluster,
    subjectRoot: subjects.root,
    job,
    trace: (phase) => trace("driver", phase),
    log: (line) => void process.stderr.write(`stingray: ${line}\n`),
  });
  const [first] = cluster.nodes;
  if (first === undefined)
    throw new ConnectionError(
      "the embedded cluster started without a node; give init({ nodes }) at least one",
    );
  let connecting: Promise<NatsConnection> | undefined;
  return {
    subjects,
    home: { agent: first.agent, node: first.node },
    local: first,
    job: { ...job, driverNode: first.node },
    servers: cluster.brokerOptions.servers,
    isOwn: true,
    connection: () => (connecting ??= connect(cluster.brokerOptions)),
    findHome: (gone) => {
      const other = cluster.nodes.find(
        (node) => node.agent !== gone.agent && node.process.state.kind === "ready",
      );
      if (other === undefined)
        return Promise.reject(
          new ConnectionError(
            `the node agent of this program's cluster (node ${gone.node}) is gone; call init() again`,
          ),
        );
      return Promise.resolve({ agent: other.agent, node: other.node });
    },
    async leave() {
      await (await connecting?.catch(() => undefined))?.close();
      await cluster.stop();
    },
  };
}

async function joinRunning(
  options: InitOptions,
  servers: string[],
  driver: ProcessId,
  env: NodeJS.ProcessEnv,
): Promise<Membership> {
  const [{ joinCluster, listNodeFiles }, { jobOf }] = await Promise.all([
    import("@stingray/node/driver"),
    import("./job.js"),
  ]);
  const subjects = subjectsOf(options, env);
  const own = options.connection;
  const nc = own ?? (await connect({ servers, auth: authOf(options, env), tls: options.tls }));
  /** An agent on this machine is better than any other: its store and sockets can be used. */
  const find = async (
    gone: HomeAddress | undefined,
  ): Promise<{ home: HomeAddress; local: LocalNode | undefined }> => {
    const joined = await joinCluster(nc, subjects);
    const known = await localNodes(joined.node);
    const here = known.find((file) => file.node !== gone?.node);
    if (here !== undefined) return { home: { agent: here.agent, node: here.node }, local: here };
    if (joined.agent === gone?.agent)
      throw new ConnectionError(`only the node that is gone (${gone.node}) answers`);
    return { home: joined, local: undefined };
  };
  const localNodes = async (node: NodeId): Promise<(LocalNode & { agent: ProcessId })[]> => {
    const files = await listNodeFiles();
    const { clusterIdOf } = await import("@stingray/node/driver");
    const id = clusterIdOf(servers, subjects.root, subjects.cluster);
    // The one that answered may be known here under another spelling of the broker's address.
    const answered = files.find((file) => file.node === node);
    return files.filter((file) => file.clusterId === (answered?.clusterId ?? id));
  };
  try {
    const { home, local } = await find(undefined);
    return {
      subjects,
      home,
      local,
      job: jobOf(options, driver, local?.node),
      servers: own === undefined ? servers : [own.getServer()],
      connection: () => Promise.resolve(nc),
      findHome: (gone) => retry(async () => (await find(gone)).home),
      async leave() {
        if (own === undefined) await nc.close();
      },
    };
  } catch (error) {
    if (own === undefined) await nc.close();
    throw error;
  }
}

async function retry<T>(attempt: () => Promise<T>): Promise<T> {
  const end = performance.now() + FIND_HOME_MS;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (performance.now() > end) throw error;
      await new Promise((later) => setTimeout(later, FIND_EVERY_MS));
    }
  }
}

async function connect(options: BrokerOptions): Promise<NatsConnection> {
  const { connectBroker } = await import("@stingray/broker/connect");
  return connectBroker({ ...options, name: `stingray driver ${process.pid}`, background: true });
}

/** The driver's transport: with sockets where it has a node on its machine. */
export function openTransport(m: Membership, driver: ProcessId, links: "auto" | "nats"): Promise<Transport> {
  const { subjects, local } = m;
  return Transport.create(
    local === undefined
      ? { process: driver, subjects, links, background: true }
      : {
          process: driver,
          node: local.node,
          subjects,
          socketDir: local.socketDir,
          secret: local.secret,
          links,
          background: true,
        },
  );
}
