/** The workers of this node with what they are used for, put together from those who know. */
import type { Incarnation } from "../../controller/actor-host.js";
import * as t from "../tokens.js";
import type { MemoryUser } from "./victim.js";
import type { WatchedWorker } from "./watch.js";

/** With what it would cost to end it. */
export type UsedWorker = WatchedWorker & Pick<MemoryUser, "kind" | "since">;

/** None while the node is still starting. */
export function watchedWorkers(get: t.Get): UsedWorker[] {
  const held = new Map<string, { declared: number | undefined; since: number }>();
  let since = 0;
  for (const { worker, resources } of get(t.SCHEDULER).snapshot().leases) {
    since++;
    if (worker === undefined) continue;
    const before = held.get(worker);
    const memory = resources["memory"];
    // Where one of several has declared nothing, nothing can be said about all.
    const declared =
      memory === undefined || (before !== undefined && before.declared === undefined)
        ? undefined
        : memory + (before?.declared ?? 0);
    held.set(worker, { declared, since });
  }
  const host = get(t.ACTOR_HOST);
  const book = get(t.ACTOR_BOOK);
  return get(t.POOL)
    .all()
    .filter(({ usable, pid }) => usable && pid > 0)
    .map((worker): UsedWorker => {
      const living = host.livingOn(worker.id);
      const [first] = living;
      const final = living.some(({ spec }) => {
        const restarts = book.get(spec.actor)?.value.restarts ?? 0;
        return spec.maxRestarts >= 0 && restarts >= spec.maxRestarts;
      });
      return {
        id: worker.id,
        pid: worker.pid,
        taken: worker.taken,
        job: worker.env?.job.job,
        declared: held.get(worker.id)?.declared,
        actor: first?.spec.actor,
        className: first?.spec.className,
        actors: living.length,
        constructing: living.flatMap(constructingOf),
        kind: !worker.taken ? "idle" : final ? "final" : "retriable",
        since: held.get(worker.id)?.since ?? 0,
      };
    });
}

function constructingOf({ spec, state, startedAt }: Incarnation): WatchedWorker["constructing"] {
  if (state !== "starting" || startedAt === undefined) return [];
  return [{ actor: spec.actor, what: `${spec.className} constructor`, since: startedAt }];
}
