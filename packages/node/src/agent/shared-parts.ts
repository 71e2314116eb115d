/** The part of the composition root that has to do with actors that live with others in one process. */
import { cpus } from "node:os";
import { rank } from "@stingray/scheduler";
import {
  SharedActors as SharedActorMethods,
  SharedHosts,
  SpecTemplates,
  encodeError,
  type ActorSpec,
  type ActorView,
  type ProcessId,
} from "@stingray/protocol";
import type { Channel } from "@stingray/broker";
import type { ActorEntry } from "../controller/actor-book.js";
import { otherNodes } from "../controller/other-nodes.js";
import { workerEnv } from "../pool/env.js";
import { HostPool } from "../shared/host-pool.js";
import { orderFor } from "../shared/choice.js";
import { SharedActors } from "../shared/shared-actors.js";
import * as t from "./tokens.js";

/** A constructor may take as long as it likes; a day is only to have an end. */
const CONSTRUCTOR_MS = 24 * 3_600_000;
/** What an `onDeactivate` gets beyond the time for calls. Milliseconds. */
const DEACTIVATE_MS = 60_000;
/** The same at the end of a job, whose driver waits for it. Milliseconds. */
const JOB_DEACTIVATE_MS = 1_000;
/** A worker that is up becomes a host within this. Milliseconds. */
const OPEN_MS = 30_000;
/** Whoever creates an actor is answered when its constructor has ended, or after this. Milliseconds. */
const CREATED_MS = 100;

export function provideShared(provide: t.Provide, get: t.Get): void {
  provide(t.SPEC_TEMPLATES, () => new SpecTemplates());
  provide(t.SHARED_HOSTS, (of) => {
    const pool = of(t.POOL);
    return new HostPool(
      { processes: Math.max(1, Math.min(cpus().length, Math.floor(of(t.ACCOUNT).total["CPU"] ?? 1))) },
      {
        keyOf: async (spec) => workerEnv(await get(t.JOBS).spec(spec.job), spec.placement.runtimeEnv).key,
        acquire: async (spec) => {
          const { runtimeEnv } = spec.placement;
          const shape = { resources: {}, ...(runtimeEnv === undefined ? {} : { runtimeEnv }) };
          const worker = await pool.acquire(await get(t.JOBS).spec(spec.job), shape);
          get(t.HEARTBEATS).changed();
          return worker;
        },
        open: async (worker, host) =>
          void (await of(t.PEERS)
            .channel(worker)
            .request(SharedHosts.open, { host }, { timeoutMs: OPEN_MS })),
        end: (worker, reason) => pool.end(worker, reason),
      },
    );
  });
  provide(t.SHARED_ACTORS, (of) => {
    const { node, agent } = of(t.CONFIG);
    const peers = of(t.PEERS);
    const actors: SharedActors = new SharedActors(of(t.SHARED_HOSTS), of(t.ACTOR_BOOK), {
      agent,
      node,
      start: async (host, worker, spec, epoch, state) => {
        const templates = of(t.SPEC_TEMPLATES);
        const own = templates.split(spec);
        const base = host.templates.has(own.template) ? undefined : templates.base(own.template);
        host.templates.add(own.template);
        const ask = { own, epoch, ...(base && { base }), ...(state && { state }) };
        await peers.channel(worker).request(SharedHosts.start, ask, { timeoutMs: CONSTRUCTOR_MS });
      },
      end: (worker, ask) =>
        peers.channel(worker).request(SharedHosts.end, ask, { timeoutMs: ask.deadlineMs + DEACTIVATE_MS }),
      endJob: (worker, ask) =>
        peers
          .channel(worker)
          .request(SharedHosts.endJob, ask, { timeoutMs: ask.deadlineMs + JOB_DEACTIVATE_MS }),
      beginState: async (inc) => (await get(t.ACTOR_STATES).begin(inc)).state,
      endActor: (actor, cause, epoch) => get(t.ACTOR_DIRECTORY).end(actor, cause, epoch),
      ended: async (spec) => {
        await get(t.ACTOR_NAMES).release(spec);
        await get(t.ACTOR_STATES).drop(spec);
      },
      place: (entry) => placeAgain(get, entry),
      changed: (actor) => get(t.ACTOR_WATCHERS).changed(actor),
      failed: of(t.FAILED),
    });
    return actors;
  });
}

/** Here where it may be here: its process may be gone, but this node is not. */
function placeAgain(get: t.Get, entry: ActorEntry): void {
  if (!isPlaceFor(get, entry.value.spec)) {
    get(t.ACTOR_PLACER).placeAgain(entry);
    return;
  }
  get(t.SHARED_ACTORS)
    .host(entry)
    .catch((error: unknown) => get(t.ACTOR_DIRECTORY).end(entry.key, encodeError(error)))
    .catch((error: unknown) => get(t.FAILED)(`end actor ${entry.key}`, error));
}

/** Whether this node is the place for an actor that holds nothing: it is, where nothing speaks against it. */
export function isPlaceFor(get: t.Get, { placement }: ActorSpec): boolean {
  const { scheduling, labels } = placement;
  if (get(t.SCHEDULER).draining || !get(t.SHARED_HOSTS).hasRoom) return false;
  if (scheduling === undefined && labels === undefined) return true;
  const own = get(t.HEARTBEATS).ownBid();
  const others = scheduling === undefined ? [] : otherNodes(get(t.VIEW), own.node, placement, Math.random);
  const [best] = orderFor(placement, rank(placement, [own, ...others], { random: Math.random }));
  return best?.node === own.node && best.fit === "now";
}

/** What processes ask for that create such actors. */
export function serveSharedActors(get: t.Get): void {
  const { inbox } = get(t.TRANSPORT);
  const directory = get(t.ACTOR_DIRECTORY);
  const templates = get(t.SPEC_TEMPLATES);
  inbox.serve(SharedActorMethods.create, async ({ own, base, getIfExists }, channel) => {
    if (base !== undefined)
      templates.add(own.template, { ...base, creatorNode: base.creatorNode ?? channel.peer.node });
    const spec = templates.join(own);
    if (spec === undefined) return { unknown: true };
    const { existing, started } = await directory.create(spec, getIfExists);
    // It may have gone while the row was written; the closing of a channel is told only once.
    if (channel.closed !== undefined)
      directory.creatorGone(spec.creator as ProcessId, channel.closed.message);
    if (existing !== undefined) return { existing };
    return started === undefined ? {} : { view: await createdView(get, own.actor, started, channel) };
  });
}

/** The state of an actor that was just made, which is watched from here on. */
async function createdView(
  get: t.Get,
  actor: string,
  started: Promise<void>,
  channel: Channel,
): Promise<ActorView> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((over) => (timer = setTimeout(over, CREATED_MS).unref()));
  await Promise.race([started, late]);
  clearTimeout(timer);
  return get(t.ACTOR_WATCHERS).watch(actor, channel);
}

/** Another agent offers an actor that lives with others. */
export async function acceptShared(
  get: t.Get,
  spec: ActorSpec,
  epoch: number,
): Promise<{ accepted: boolean; reason?: string }> {
  const own = get(t.HEARTBEATS).ownBid();
  const [fit] = rank(spec.placement, [own], { random: Math.random });
  if (fit?.fit !== "now") return { accepted: false, reason: fit?.reason ?? "has no room" };
  if (!get(t.SHARED_HOSTS).hasRoom) return { accepted: false, reason: "has as many actors as it takes" };
  const accepted = await get(t.SHARED_ACTORS).accept(spec, epoch);
  return accepted
    ? { accepted: true }
    : { accepted: false, reason: `the claim ${epoch} is no longer the newest` };
}
