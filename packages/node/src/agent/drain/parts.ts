/** The part of the composition root that drains the node. */
import {
  DRAINING,
  InvalidArgumentError,
  Owner,
  Worker as WorkerMethods,
  ownerOf,
  type ObjectId,
  type ProcessId,
} from "@stingray/protocol";
import type { Bid } from "@stingray/scheduler";
import { replicaHooks } from "../store/parts.js";
import * as t from "../tokens.js";
import { LeavingActors } from "./actors.js";
import { Drain } from "./drain.js";
import { LeavingObjects } from "./objects.js";

/** A worker that is idle answers at once. Milliseconds. */
const ASK_MS = 1_000;
/** An owner may be in a long loop; what it was told waits for it. Milliseconds. */
const OWNER_MS = 60_000;

export function provideDrain(provide: t.Provide, get: t.Get): void {
  const others = (): Bid[] => {
    const { node } = get(t.CONFIG);
    return get(t.VIEW)
      .nodes()
      .filter((bid) => bid.node !== node && !bid.draining);
  };
  const hasOthers = (): boolean => {
    const { node: own } = get(t.CONFIG);
    const view = get(t.VIEW);
    return view
      .facts()
      .some(({ node, draining }) => node !== own && !draining && view.get(node)?.draining !== true);
  };
  const now = (): number => performance.now();
  provide(t.DRAIN, (of) => {
    const { node, agent } = of(t.CONFIG);
    const host = of(t.ACTOR_HOST);
    const pool = of(t.POOL);
    const actors = new LeavingActors({
      node,
      *hosted() {
        yield* host.all();
        yield* of(t.SHARED_ACTORS).incarnations();
      },
      leave: (incarnation, o) =>
        incarnation.spec.shared === true
          ? of(t.SHARED_ACTORS).leave(incarnation, o)
          : host.leave(incarnation, o),
      isPlaceless: (actor) => {
        const row = get(t.ACTOR_BOOK).get(actor)?.value;
        return row?.state === "RESTARTING" && row.agent === agent;
      },
      others,
      failed: of(t.FAILED),
      now,
    });
    const objects = new LeavingObjects({
      ...replicaHooks(get),
      primaries: () => of(t.NODE_STORE).primaries(),
      holders: async (object) =>
        (await of(t.LOCATIONS).locate(object, undefined)).copies.map(([holder]) => holder),
      ownedHere: (object) => pool.get(ownerOf(object as ObjectId)) !== undefined,
      tellOwner: async ({ object, size }, to) => {
        const ask = { object, size, from: node, to };
        const owner = of(t.PEERS).channel(ownerOf(object as ObjectId));
        return (await owner.request(Owner.moved, ask, { timeoutMs: OWNER_MS })).outcome;
      },
      hasOthers,
      now,
    });
    return new Drain({
      actors,
      objects,
      refuseWork: () => {
        of(t.SCHEDULER).drain();
        of(t.HEARTBEATS).changed();
      },
      busyWorkers: () => taskWorkers(get),
      promised: () => of(t.SCHEDULER).snapshot().workers.starting > 0,
      endWorker: (worker) => pool.kill(worker as ProcessId, DRAINING),
      lenders: () => countLenders(get),
      hasOthers,
      failed: of(t.FAILED),
      now,
    });
  });
}

/** @throws InvalidArgumentError where the node runs the cluster's broker, and others need that */
export function checkMayDrain(get: t.Get): void {
  const { node, runsBroker } = get(t.CONFIG);
  const others = get(t.VIEW)
    .facts()
    .filter((other) => other.node !== node);
  if (!runsBroker || others.length === 0) return;
  throw new InvalidArgumentError(
    `node ${node} was started with a nats-server of its own, which ends with it and which ${others.length} other node(s) ` +
      `of the cluster need: drain those first, or end all with stingray stop; clusters that outlive a node are started ` +
      `on a broker of their own, with stingray start --address`,
  );
}

/** Those with a lease that is not a reservation. */
function taskWorkers(get: t.Get): ProcessId[] {
  const workers = new Set<ProcessId>();
  for (const { kind, worker } of get(t.SCHEDULER).snapshot().leases)
    if (kind === "task" && worker !== undefined) workers.add(worker);
  return [...workers];
}

/** A worker that does not answer is taken to have lent something. */
async function countLenders(get: t.Get): Promise<number> {
  const peers = get(t.PEERS);
  const bound = get(t.POOL)
    .all()
    .filter(({ id, state }) => state.kind === "bound" && get(t.ACTOR_HOST).on(id) === undefined);
  const answers = await Promise.all(
    bound.map(({ id }) =>
      peers
        .channel(id)
        .request(WorkerMethods.mayEnd, {}, { timeoutMs: ASK_MS })
        .then(
          ({ lent = 0 }) => lent > 0,
          () => get(t.POOL).get(id) !== undefined,
        ),
    ),
  );
  return answers.filter(Boolean).length;
}
