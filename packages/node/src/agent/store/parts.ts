/** The part of the composition root that makes up the object store of a node. */
import { Puller, agentSource } from "@stingray/objectstore";
import { Agent, Op, Process, ownerOf, type NodeId, type ObjectId, type ProcessId } from "@stingray/protocol";
import { publishObjectNews } from "../../feed/mod.js";
import type { ListingParts } from "./listing.js";
import { Locations } from "./locations.js";
import { Objects } from "./objects.js";
import { Pulls } from "./pulls.js";
import type { ReplicaHooks } from "./replicas.js";
import * as t from "../tokens.js";
import { Traffic } from "./traffic.js";

/** A copy that another node is to keep. Milliseconds. */
const KEEP_MS = 600_000;

export function provideStore(provide: t.Provide, get: t.Get): void {
  provide(t.TRAFFIC, () => new Traffic());
  provide(t.LOCATIONS, (of) => {
    const { node, agent, subjects } = of(t.CONFIG);
    return new Locations(
      { node, agent },
      {
        publish: (news) => publishObjectNews(of(t.BROKER), subjects, news),
        table: () => of(t.TABLES).store.table("objects"),
        isAlive: (other) => other === node || get(t.VIEW).factOf(other as NodeId) !== undefined,
        failed: of(t.FAILED),
      },
    );
  });
  const copied = (object: string, size: number): void => {
    const { node, agent } = get(t.CONFIG);
    get(t.PEERS).send(ownerOf(object as ObjectId), [Op.ObjectCopied, object, size, node, agent]);
  };
  const jobOf = (process: ProcessId): string | undefined =>
    get(t.POOL).get(process)?.env?.job.job ?? get(t.JOBS).jobOfDriver(process);
  provide(t.PULLER, (of) => {
    const { address } = of(t.DATA_PORT);
    return new Puller({
      name: of(t.CONFIG).agent,
      serves: () => (address.hosts.length === 0 ? undefined : address),
    });
  });
  provide(t.PULLS, (of) => {
    const { node, agent } = of(t.CONFIG);
    return new Pulls(of(t.NODE_STORE), of(t.PULLER), of(t.LOCATIONS), {
      node,
      agent,
      source: (object, other, otherAgent) =>
        agentSource(object, otherAgent, of(t.PEERS).channel(otherAgent as ProcessId, other as NodeId)),
      jobOf,
      received: (bytes) => of(t.TRAFFIC).received(bytes),
      copied,
    });
  });
  provide(t.OBJECTS, (of) => new Objects(of(t.NODE_STORE), of(t.PULLS), of(t.LOCATIONS), { jobOf, copied }));
}

export function replicaHooks(get: t.Get): ReplicaHooks {
  const { node, agent } = get(t.CONFIG);
  return {
    node,
    agent,
    nodes: () => get(t.HEARTBEATS).nodes(),
    keep: (other, otherAgent, wanted) =>
      get(t.PEERS)
        .channel(otherAgent as ProcessId, other as NodeId)
        .request(
          Agent.storeKeep,
          { wanted, job: get(t.OBJECTS).jobOf(wanted.object) },
          { timeoutMs: KEEP_MS },
        ),
    free: (other, otherAgent, object) => {
      get(t.PEERS).note(otherAgent as ProcessId, other as NodeId);
      get(t.PEERS).send(otherAgent as ProcessId, [Op.StoreFree, [object]]);
    },
  };
}

export function listingParts(get: t.Get): ListingParts {
  return {
    store: {
      figures: () => get(t.TRAFFIC).gauge(get(t.NODE_STORE)).figures(),
      list: (n) => get(t.NODE_STORE).list(n),
    },
    processes: () => [
      ...get(t.POOL)
        .all()
        .filter((worker) => worker.env !== undefined)
        .map(({ id }) => id),
      ...get(t.JOBS).watched(),
    ],
    memory: (process, limit, timeoutMs) =>
      get(t.PEERS).channel(process).request(Process.memory, { limit }, { timeoutMs }),
  };
}
