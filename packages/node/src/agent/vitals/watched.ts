/** The workers of this node with what they are used for, put together from those who know. */
import type { ProcessId } from "@stingray/protocol";
import type { Incarnation } from "../../controller/actor-host.js";
import * as t from "../tokens.js";
import type { MemoryUser } from "./victim.js";
import type { WatchedWorker } from "./watch.js";

/** Of the actors that share a process, so many are looked at to see whether it may be ended. */
const MOST_LOOKED_AT = 100;

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
  const shares = get(t.SHARED_HOSTS);
  const book = get(t.ACTOR_BOOK);
  return get(t.POOL)
    .all()
    .filter(({ usable, pid }) => usable && pid > 0)
    .map((worker): UsedWorker => {
      const inc = host.on(worker.id);
      const own = inc === undefined ? [] : [inc.spec.actor];
      const shared = shares.on(worker.id)?.actors;
      const living = shared === undefined ? own : firstOf(shared.keys(), MOST_LOOKED_AT);
      const rows = living.map((actor) => book.get(actor)?.value);
      const first = rows[0]?.spec;
      const final = rows.some(
        (row) => row !== undefined && row.spec.maxRestarts >= 0 && row.restarts >= row.spec.maxRestarts,
      );
      return {
        id: worker.id,
        pid: worker.pid,
        taken: worker.taken,
        job: worker.env?.job.job,
        declared: held.get(worker.id)?.declared,
        actor: living[0],
        className: first?.className,
        actors: shared?.size ?? own.length,
        constructing:
          inc === undefined ? constructingIn(get, worker.id, shared?.size ?? 0) : constructingOf(inc),
        kind: !worker.taken ? "idle" : final ? "final" : "retriable",
        since: held.get(worker.id)?.since ?? 0,
      };
    });
}

function firstOf(actors: Iterable<string>, most: number): string[] {
  const first: string[] = [];
  for (const actor of actors) if (first.push(actor) >= most) break;
  return first;
}

function constructingIn(get: t.Get, worker: ProcessId, actors: number): WatchedWorker["constructing"] {
  if (actors === 0) return [];
  const found: WatchedWorker["constructing"][number][] = [];
  // In the order in which they were begun: those that take long go first.
  for (const [actor, since] of get(t.SHARED_ACTORS).constructing(worker)) {
    const { className = "actor" } = get(t.ACTOR_BOOK).get(actor)?.value.spec ?? {};
    if (found.push({ actor, what: `${className} constructor`, since }) >= MOST_LOOKED_AT) break;
  }
  return found;
}

function constructingOf({ spec, state, startedAt }: Incarnation): WatchedWorker["constructing"] {
  if (state !== "starting" || startedAt === undefined) return [];
  return [{ actor: spec.actor, what: `${spec.className} constructor`, since: startedAt }];
}
