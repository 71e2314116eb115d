/** This process as the driver of a test's cluster. */
import { connectBroker } from "@stingray/broker/connect";
import type { BrokerOptions } from "@stingray/broker/connect";
import type { NatsConnection } from "@nats-io/nats-core";
import { ConnectionError, type JobSpec, type Subjects } from "@stingray/protocol";
import type { HomeAddress } from "@stingray/task/internal";
import type { Membership } from "../membership.js";
import type { TestNode } from "./node.js";

/** What the driver needs of its cluster. */
export interface DriverPlace {
  readonly nodes: readonly TestNode[];
  readonly subjects: Subjects;
  /** By its own line. */
  readonly broker: BrokerOptions;
  /** On a machine of its own, as far as sockets and shared memory go. */
  readonly remote: boolean;
}

/** How this process comes into a cluster that runs: on its first live node. */
export function membershipOf(place: DriverPlace, job: JobSpec): Membership {
  const first = homeAmong(place.nodes, undefined);
  const local = place.remote ? undefined : first.identity;
  let connecting: Promise<NatsConnection> | undefined;
  return {
    subjects: place.subjects,
    home: addressOf(first),
    local,
    job: local === undefined ? job : { ...job, driverNode: local.node },
    servers: place.broker.servers,
    connection: () =>
      (connecting ??= connectBroker({
        ...place.broker,
        name: `stingray test ${process.pid}`,
        background: true,
      })),
    findHome: async (gone) => addressOf(homeAmong(place.nodes, gone)),
    async leave() {
      await (await connecting?.catch(() => undefined))?.close();
    },
  };
}

const addressOf = (node: TestNode): HomeAddress => ({ agent: node.identity.agent, node: node.id });

function homeAmong(nodes: readonly TestNode[], gone: HomeAddress | undefined): TestNode {
  const found = nodes.find((node) => node.state === "up" && node.process.running && node.id !== gone?.node);
  if (found === undefined)
    throw new ConnectionError(
      "no node of the test cluster runs that the driver could turn to; restart() or addNode() one",
    );
  return found;
}
