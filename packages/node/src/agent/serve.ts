/** What an agent answers and listens to: one line for each method and message of the wire contract. */
import type { Channel } from "@stingray/broker";
import {
  Agent as AgentMethods,
  InvalidArgumentError,
  Op,
  PROTOCOL_VERSION,
  ProtocolError,
  UnschedulableError,
  actorExited,
  encodeError,
  isProcessId,
  leaseDemand,
  leaseReturn,
  storeAbandoned,
  storeDamaged,
  storeDone,
  storeFree,
  storeReturn,
  storeSealed,
  workerBlocked,
  workerRetired,
  workerUnblocked,
  type JobId,
  type NodeId,
  type ProcessId,
} from "@stingray/protocol";
import { serveSleep } from "./sleep-parts.js";
import { listActors } from "../controller/actor-listing.js";
import { serveMailboxes } from "../mailbox/parts.js";
import { serveGroups } from "./group-parts.js";
import { serveReminders } from "./reminder-parts.js";
import { setResource } from "./resources.js";
import { checkMayDrain } from "./drain/parts.js";
import { replicaHooks, listingParts } from "./store/parts.js";
import { listStore } from "./store/listing.js";
import { replicate } from "./store/replicas.js";
import { acceptShared, serveSharedActors } from "./shared-parts.js";
import * as t from "./tokens.js";
import { serveWhy } from "./why.js";

/** A dead worker's exit is reported within this time after its channel broke. */
const EXIT_REPORT_MS = 1_000;

/** Starts to serve. Everything named by a token must be there. */
export function serveAgent(get: t.Get): void {
  const transport = get(t.TRANSPORT);
  const watchers = get(t.ACTOR_WATCHERS);
  const deaths = get(t.DEATHS);
  transport.inbox.onChannelClosed((channel, reason) => {
    watchers.channelClosed(channel);
    const process = channel.peer.endpoint;
    if (!isProcessId(process)) return;
    deaths.channelClosed(process, reason.message);
    // Messages to a worker may be lost, such as leases that it was given: nobody can rely on it any more. One that
    // just died is about to report how.
    if (get(t.POOL).get(process) === undefined) return;
    const kill = (): void => get(t.POOL).kill(process, `its channel to the agent broke: ${reason.message}`);
    setTimeout(kill, EXIT_REPORT_MS).unref();
  });
  serveJobs(get);
  serveLeases(get);
  serveActors(get);
  serveSleep(get);
  serveReminders(get);
  serveMailboxes(get);
  serveGroups(get);
  serveStore(get);
  serveWhy(get);
  serveDrain(get);
  const { cluster } = get(t.CONFIG).subjects;
  transport.inbox.serve(AgentMethods.clusterState, async () => ({
    cluster,
    nodes: await get(t.HEARTBEATS).nodes(),
    groups: get(t.GROUP_DIRECTORY).list(),
  }));
}

/** Apart from the rest, because workers report before the broker is connected. */
export function serveWorkers(get: t.Get): void {
  get(t.TRANSPORT).inbox.serve(AgentMethods.workerReady, ({ worker, version }, channel) => {
    const process = get(t.POOL).get(worker as ProcessId);
    if (process === undefined || from(channel) !== worker) {
      throw new InvalidArgumentError(`worker ${worker} was not started by this agent`);
    }
    if (version !== PROTOCOL_VERSION) {
      process.kill(`it speaks protocol version ${version}, its agent ${PROTOCOL_VERSION}`);
      throw new ProtocolError(
        `the worker speaks protocol version ${version}, its agent ${PROTOCOL_VERSION}: reinstall stingray on this machine`,
      );
    }
    get(t.PEERS).note(process.id, get(t.CONFIG).node);
    process.ready();
    return {};
  });
}

function serveJobs(get: t.Get): void {
  const { inbox } = get(t.TRANSPORT);
  const jobs = get(t.JOBS);
  const peers = get(t.PEERS);
  inbox.serve(AgentMethods.jobStart, async (spec, channel) => {
    if (from(channel) !== spec.driver) {
      throw new InvalidArgumentError(`job ${spec.job} can only be started by its driver ${spec.driver}`);
    }
    peers.note(from(channel), channel.peer.node ?? (spec.driverNode as NodeId | undefined));
    await jobs.start(spec);
    get(t.POOL).bindAhead(spec);
    // It may have gone while its row was written; the closing of a channel is told only once.
    if (channel.closed !== undefined) jobs.processGone(from(channel), channel.closed.message);
    return {};
  });
  inbox.serve(AgentMethods.jobEnd, async ({ job, last }) => {
    await jobs.end(job as JobId, "FINISHED", last);
    return {};
  });
  inbox.serve(AgentMethods.jobCleanup, async ({ job }) => {
    await jobs.cleanUp(job as JobId);
    return {};
  });
}

function serveLeases(get: t.Get): void {
  const { inbox } = get(t.TRANSPORT);
  const scheduler = get(t.SCHEDULER);
  const peers = get(t.PEERS);
  /** Processes of a job that is over are not served, but for its detached actors. */
  const isOver = (job: string, process: ProcessId): boolean =>
    get(t.JOBS).isOver(job) &&
    !get(t.SHARED_ACTORS).isNeeded(process) &&
    get(t.ACTOR_HOST).on(process)?.spec.detached !== true;

  inbox.on(Op.LeaseDemand, leaseDemand, ([, job, key, shape, want, got], channel) => {
    const submitter = from(channel);
    peers.note(submitter, channel.peer.node);
    if (want > 0 && isOver(job, submitter)) {
      const error = new UnschedulableError(`job ${job} is over: nothing more runs for it`);
      channel.send([Op.LeaseFailed, key, encodeError(error)]);
      return;
    }
    const submitterNode = channel.peer.node;
    scheduler.demand({ submitter, submitterNode, job: job as JobId, key, shape, want, got });
    get(t.HEARTBEATS).changed();
  });
  inbox.serve(AgentMethods.nodeSetResource, ({ name, amount }) => {
    const { node } = get(t.CONFIG);
    const [account, failed] = [get(t.ACCOUNT), get(t.FAILED)];
    const { nodes } = get(t.TABLES);
    const gpus = get(t.OFFER).gpus.count;
    const changed = (): void => get(t.HEARTBEATS).changed();
    setResource({ node, account, scheduler, nodes, gpus, changed, failed }, name, amount);
    return { total: account.total, available: account.available };
  });
  inbox.on(Op.LeaseReturn, leaseReturn, ([, lease, usable]) => {
    scheduler.returned(lease, usable);
    get(t.HEARTBEATS).changed();
  });
  inbox.on(Op.WorkerBlocked, workerBlocked, ([, lease]) => scheduler.blocked(lease));
  inbox.on(Op.WorkerRetired, workerRetired, ([, reason], channel) => {
    get(t.POOL).retire(from(channel), reason);
    scheduler.workerRetired(from(channel));
  });
  inbox.on(Op.WorkerUnblocked, workerUnblocked, ([, lease]) => scheduler.unblocked(lease));
  inbox.serve(AgentMethods.leaseKill, ({ lease, reason }, channel) => {
    const known = scheduler.snapshot().leases.find((l) => l.lease === lease);
    if (known?.worker === undefined) return {}; // it is over, which is what was wanted
    if (known.submitter !== from(channel)) {
      throw new InvalidArgumentError(`lease ${lease} belongs to ${known.submitter}, not to ${from(channel)}`);
    }
    get(t.POOL).kill(known.worker, reason);
    return {};
  });
}

function serveActors(get: t.Get): void {
  const { inbox } = get(t.TRANSPORT);
  const directory = get(t.ACTOR_DIRECTORY);
  const names = get(t.ACTOR_NAMES);
  inbox.serve(AgentMethods.actorCreate, async ({ spec, getIfExists }, channel) => {
    spec.creatorNode ??= channel.peer.node;
    const { existing } = await directory.create(spec, getIfExists);
    // It may have gone while the rows were written; the closing of a channel is told only once.
    const { closed } = channel;
    if (closed !== undefined) directory.creatorGone(from(channel), closed.message);
    return existing === undefined ? {} : { existing };
  });
  serveSharedActors(get);
  inbox.serve(AgentMethods.actorWatch, ({ actor }, channel) => get(t.ACTOR_WATCHERS).watch(actor, channel));
  inbox.serve(AgentMethods.actorGet, ({ namespace, name }) => names.get(namespace, name));
  inbox.serve(AgentMethods.actorList, async ({ namespace }) => ({ actors: await names.list(namespace) }));
  inbox.serve(AgentMethods.actorTable, ({ states, limit }) =>
    listActors(get(t.ACTOR_BOOK), states, limit, (actor) => get(t.ACTOR_WATCHERS).reasonOf(actor)),
  );
  inbox.serve(AgentMethods.actorKill, async ({ actor, restart, reason }) => {
    await directory.kill(actor, restart, reason);
    return {};
  });
  inbox.serve(AgentMethods.actorPlace, async ({ spec, epoch }) => {
    await get(t.BUNDLE_HOST).beforeUse(spec.placement.scheduling);
    return spec.shared === true ? acceptShared(get, spec, epoch) : get(t.ACTOR_HOST).accept(spec, epoch);
  });
  inbox.serve(AgentMethods.actorSave, async (ask, channel) => {
    await get(t.ACTOR_STATES).save(from(channel), ask);
    return {};
  });
  inbox.on(Op.ActorExited, actorExited, ([, actor, epoch, error], channel) => {
    get(t.SHARED_ACTORS)
      .exited(from(channel), actor, epoch, error)
      .then((known) => (known ? undefined : get(t.ACTOR_HOST).exited(from(channel), actor, epoch, error)))
      .catch((thrown: unknown) => get(t.FAILED)(`write down the end of actor ${actor}`, thrown));
  });
}

function serveDrain(get: t.Get): void {
  const { inbox } = get(t.TRANSPORT);
  const drain = get(t.DRAIN);
  inbox.serve(AgentMethods.nodeDrain, (order) => {
    checkMayDrain(get);
    return drain.order(order);
  });
  inbox.serve(AgentMethods.nodeDrained, ({ waitMs }) => drain.whenLeft(waitMs));
}

function serveStore(get: t.Get): void {
  const { inbox } = get(t.TRANSPORT);
  const objects = get(t.OBJECTS);
  inbox.serve(AgentMethods.storeCreate, ({ object, size, origin }, channel) =>
    objects.create(object, size, from(channel), origin),
  );
  inbox.serve(AgentMethods.storeLease, ({ bytes, ahead }, channel) =>
    objects.lease(from(channel), bytes, ahead === true),
  );
  inbox.serve(AgentMethods.storeOpen, async ({ objects: wanted, hold }, channel) => ({
    spans: await objects.open(wanted, hold, from(channel)),
  }));
  inbox.serve(AgentMethods.storeRead, ({ object, offset, length }) => objects.read(object, offset, length));
  inbox.serve(AgentMethods.storeWrite, ({ object, offset, bytes, crc }, channel) => {
    objects.write(object, offset, bytes, crc, from(channel));
    return {};
  });
  inbox.serve(AgentMethods.storeSeal, ({ object, size }, channel) => {
    objects.complete(object, size, from(channel));
    return {};
  });
  inbox.serve(AgentMethods.storeAddress, () => get(t.DATA_PORT).address);
  inbox.serve(AgentMethods.storeReplicate, async (wanted) => ({
    copies: await replicate(wanted, replicaHooks(get)),
  }));
  inbox.serve(AgentMethods.storeKeep, async ({ wanted, job }, channel) => {
    if (get(t.DRAIN).active) {
      throw new UnschedulableError("this node is draining; have another keep the object");
    }
    await objects.keep(wanted, from(channel), job);
    return {};
  });
  inbox.serve(AgentMethods.storeLocate, ({ object }, channel) => objects.locate(object, from(channel)));
  inbox.serve(AgentMethods.storeList, ({ limit }) => listStore(listingParts(get), limit));
  inbox.on(Op.StoreSealed, storeSealed, ([, object, size, file, origin], channel) =>
    objects.seal(object, size, from(channel), file, origin),
  );
  inbox.on(Op.StoreDamaged, storeDamaged, ([, object]) => objects.damaged(object));
  inbox.on(Op.StoreAbandoned, storeAbandoned, ([, object], channel) =>
    objects.abandon(object, from(channel)),
  );
  inbox.on(Op.StoreDone, storeDone, ([, read], channel) => objects.done(read, from(channel)));
  inbox.on(Op.StoreReturn, storeReturn, ([, files], channel) => objects.giveBack(from(channel), files));
  inbox.on(Op.StoreFree, storeFree, ([, freed]) => objects.free(freed));
}

/** The process at the other end. Agents are spoken to by processes only, never by mailboxes. */
function from(channel: Channel): ProcessId {
  const process = channel.peer.process ?? channel.peer.endpoint;
  if (isProcessId(process)) return process;
  throw new ProtocolError(`an agent is spoken to from a process's inbox, not from ${channel.peer.endpoint}`);
}
