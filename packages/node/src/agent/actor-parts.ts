/** How the parts that have to do with actors are put together; called by the composition root. */
import {
  Agent as AgentMethods,
  RuntimeEnvError,
  Worker as WorkerMethods,
  type ActorSpec,
  type NodeId,
  type ProcessId,
  type WireError,
} from "@stingray/protocol";
import { ActorDirectory } from "../controller/actor-directory.js";
import { ActorHost } from "../controller/actor-host.js";
import { ActorNames } from "../controller/actor-names.js";
import { ActorPlacer } from "../controller/actor-placer.js";
import { SavedStates } from "../controller/actor-states.js";
import { ActorWatchers } from "../controller/actor-watchers.js";
import { Controller } from "../controller/controller.js";
import { cleanUpRows } from "../mailbox/parts.js";
import { publishDeath } from "../feed/mod.js";
import { isPlaceFor, provideShared } from "./shared-parts.js";
import { dropReminders } from "./reminder-parts.js";
import * as t from "./tokens.js";

/** A constructor may take as long as it likes (it loads a model, say); a day is only to have an end. */
const CONSTRUCTOR_MS = 24 * 3_600_000;
const PLACE_MS = 5_000;
/** What an `onDeactivate` gets beyond the time for calls, when the node is drained. */
const DEACTIVATE_MS = 500;
/** What it gets beyond that to have its state saved. */
const SAVE_MS = 10_000;

/** Registers the parts of an agent that have to do with actors, and the controller. */
export function provideActors(provide: t.Provide, get: t.Get): void {
  provide(t.ACTOR_NAMES, (of) => new ActorNames(of(t.TABLES).names, of(t.ACTOR_BOOK)));
  provide(
    t.ACTOR_WATCHERS,
    (of) =>
      new ActorWatchers(of(t.ACTOR_BOOK), {
        trouble: (actor, process) => get(t.TROUBLES).of(actor, process),
        liveView: (entry) => get(t.SHARED_ACTORS).viewOf(entry),
      }),
  );
  provideShared(provide, get);
  provide(t.ACTOR_DIRECTORY, (of) => {
    const peers = of(t.PEERS);
    const { agent } = of(t.CONFIG);
    return new ActorDirectory(of(t.ACTOR_BOOK), of(t.ACTOR_NAMES), {
      agent,
      jobRuns: (job) => get(t.JOBS).runs(job),
      place: (entry) => get(t.ACTOR_PLACER).place(entry),
      killProcess: async (entry, reason) => {
        const { agent: host, node, process, spec } = entry.value;
        if (process === undefined || host === undefined) return;
        if (host === agent && entry.value.host !== undefined)
          await get(t.SHARED_ACTORS).restart(entry, reason);
        else if (host === agent) get(t.POOL).kill(process as ProcessId, reason);
        else {
          const ask = { actor: spec.actor, restart: true, reason };
          await peers
            .channel(host as ProcessId, node as NodeId | undefined)
            .request(AgentMethods.actorKill, ask);
        }
      },
      ended: (spec) => ended(get, spec),
      shared: {
        isPlaceFor: (spec) => isPlaceFor(get, spec),
        create: (spec, claimName) => get(t.SHARED_ACTORS).create(spec, claimName),
      },
      failed: of(t.FAILED),
    });
  });
  provide(t.ACTOR_PLACER, (of) => {
    const peers = of(t.PEERS);
    return new ActorPlacer(of(t.VIEW), of(t.SCHEDULER), {
      ownBid: () => get(t.HEARTBEATS).ownBid(),
      look: (shape) => get(t.BIDDING).look(shape),
      groups: (group) => get(t.GROUP_BOOK).placement(group),
      onGroupChange: (listener) => get(t.GROUP_BOOK).onChange(listener),
      host: (entry, reservation) => get(t.ACTOR_HOST).host(entry, entry.revision, reservation),
      hostShared: async (entry) => void (await get(t.SHARED_ACTORS).host(entry)),
      offer: async (to, spec, epoch) => {
        try {
          const channel = peers.channel(to.agent, to.node);
          const answer = await channel.request(
            AgentMethods.actorPlace,
            { spec, epoch },
            { timeoutMs: PLACE_MS },
          );
          return answer.accepted ? undefined : (answer.reason ?? "gave no reason");
        } catch (error) {
          return error instanceof Error ? error.message : String(error);
        }
      },
      giveUp: (entry, error) => {
        get(t.ACTOR_DIRECTORY)
          .end(entry.key, error)
          .catch((thrown: unknown) => get(t.FAILED)(`end actor ${entry.key}`, thrown));
      },
      waitsFor: (actor, why) => get(t.ACTOR_WATCHERS).waitsFor(actor, why),
    });
  });
  provide(t.ACTOR_HOST, (of) => {
    const { node, agent } = of(t.CONFIG);
    const pool = of(t.POOL);
    const peers = of(t.PEERS);
    const host: ActorHost = new ActorHost(of(t.ACTOR_BOOK), {
      agent,
      node,
      reserveNow: (ask) => get(t.SCHEDULER).reserveNow(ask),
      missing: ({ resources, scheduling }) =>
        get(t.SCHEDULER).draining
          ? "this node is draining"
          : (get(t.BUNDLES).accountsFor(scheduling)[0]?.missing(resources) ?? "has no such bundle"),
      startActor: async (worker, incarnation) => {
        const { spec, epoch, reservation } = incarnation;
        if (reservation === undefined) throw new RuntimeEnvError(`actor ${spec.actor} has no reservation`);
        const { gpus: places } = reservation.allocation;
        const { gpus: names } = of(t.OFFER);
        const process = pool.get(worker);
        if (process !== undefined && places.length > 0) process.hadGpus = true;
        const [gpus, visible] = [names.numbers(places), names.variable(places)];
        const saved = await get(t.ACTOR_STATES).begin(incarnation);
        const ask = {
          spec,
          epoch,
          gpus,
          visible,
          lease: reservation.lease,
          ...saved,
          cause: incarnation.cause,
        };
        await peers.channel(worker).request(WorkerMethods.startActor, ask, { timeoutMs: CONSTRUCTOR_MS });
      },
      reachable: (worker) => pool.get(worker)?.usable === true && peers.channel(worker).closed === undefined,
      endWorker: (worker, reason) => pool.end(worker, reason),
      killWorker: (worker, reason) => pool.kill(worker, reason),
      whenGone: async (worker) => pool.get(worker)?.whenGone(),
      endActor: (actor, cause) => get(t.ACTOR_DIRECTORY).end(actor, cause),
      leaveActor: (worker, ask) => {
        const timeoutMs = ask.deadlineMs + DEACTIVATE_MS + (ask.save ? SAVE_MS : 0);
        return peers.channel(worker).request(WorkerMethods.leaveActor, ask, { timeoutMs });
      },
      moved: async (actor, epoch, cause) => {
        const entry = await get(t.ACTOR_BOOK).apply(actor, { kind: "moved", epoch, agent, cause });
        if (entry !== undefined) get(t.ACTOR_PLACER).place(entry);
        return entry !== undefined;
      },
      lost: (actor, epoch, cause) => lost(get, actor, epoch, cause),
      failed: of(t.FAILED),
    });
    return host;
  });
  provide(
    t.ACTOR_STATES,
    (of) =>
      new SavedStates({
        table: () => of(t.TABLES).store.table("states"),
        find: (actor) => get(t.ACTOR_HOST).find(actor) ?? get(t.SHARED_ACTORS).find(actor),
        fetch: (actor) => of(t.ACTOR_BOOK).fetch(actor),
        failed: of(t.FAILED),
      }),
  );
  provide(t.CONTROLLER, (of) => {
    const { agent, node, subjects } = of(t.CONFIG);
    const { nodes, nodeCache, jobCache } = of(t.TABLES);
    return new Controller({ table: nodes, cache: nodeCache }, jobCache, of(t.ACTOR_BOOK), of(t.LIVENESS), {
      agent,
      node,
      connected: () => get(t.CONNECTION_STATE).up,
      announceNodeDeath: (dead, reason) =>
        publishDeath(of(t.BROKER), subjects, { kind: "node", id: dead, reason }),
      place: (entry) => get(t.ACTOR_PLACER).place(entry),
      ownsName: async ({ value: { spec } }) =>
        spec.name === undefined || (await get(t.ACTOR_NAMES).claim(spec, spec.name)).actor === spec.actor,
      endActor: (actor, cause) => get(t.ACTOR_DIRECTORY).end(actor, cause),
      lost: (actor, epoch, cause) => lost(get, actor, epoch, cause),
      ended: (spec) => ended(get, spec),
      endJob: (job, why) => {
        of(t.FAILED)(`keep job ${job} running`, why);
        return get(t.JOBS).end(job, "FAILED");
      },
      wakeSleepers: () => get(t.ACTOR_SLEEP).patrol(),
      mendGroups: (round) => get(t.GROUP_MENDER).round(round),
      cleanUpJob: (job) => cleanUpRows(get, job),
      failed: of(t.FAILED),
    });
  });
}

/** The process of an incarnation is gone: RESTARTING and on to a new place, or DEAD and its name free. */
async function lost(get: t.Get, actor: string, epoch: number, cause: WireError): Promise<void> {
  const { agent } = get(t.CONFIG);
  const entry = await get(t.ACTOR_BOOK).apply(actor, { kind: "lost", epoch, agent, cause, at: Date.now() });
  if (entry === undefined) return;
  if (entry.value.state === "RESTARTING") get(t.ACTOR_PLACER).placeAgain(entry);
  else await ended(get, entry.value.spec);
}

/** It is DEAD: its name is free, and nothing that was kept for it stays. Done twice it does no harm. */
async function ended(get: t.Get, spec: ActorSpec): Promise<void> {
  await get(t.ACTOR_NAMES).release(spec);
  await get(t.ACTOR_STATES).drop(spec);
  await dropReminders(get, spec);
  await get(t.MAILBOXES).drop(spec);
}
