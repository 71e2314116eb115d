/** The composition root of an agent: which part is made of which. Hot paths hold their parts; nothing is looked up there. */
import "reflect-metadata";
import { ClusterView, ResourceAccount } from "@stingray/scheduler";
import { Op, Worker as WorkerMethods } from "@stingray/protocol";
import { loadTimeoutMs } from "@stingray/task/internal";
import { container as root, instanceCachingFactory, type DependencyContainer } from "tsyringe";
import { CONTROLLER_TIMES } from "../controller/controller.js";
import { Liveness } from "../controller/liveness.js";
import { publishDeath } from "../feed/mod.js";
import { WorkerPool } from "../pool/pool.js";
import { cleanUpRows, provideMailboxes } from "../mailbox/parts.js";
import { provideActors } from "./actor-parts.js";
import { provideSleep } from "./sleep-parts.js";
import { Bidding } from "./bidding/mod.js";
import { provideDrain } from "./drain/parts.js";
import { cleanUpElsewhere, cleanUpHere } from "./clean-up.js";
import { Deaths } from "./deaths.js";
import { provideGroups } from "./group-parts.js";
import { getterOf } from "./getter.js";
import { Heartbeats } from "./heartbeats.js";
import { Jobs } from "./jobs.js";
import { leaseEffects } from "./lease-effects.js";
import { Malformed, feedHooks } from "./malformed.js";
import { nodeState } from "./node-state.js";
import { provideReminders } from "./reminder-parts.js";
import { Outputs } from "./outputs.js";
import { Peers } from "./peers.js";
import { provideStore } from "./store/parts.js";
import * as t from "./tokens.js";
import { exitFacts, provideVitals } from "./vitals/parts.js";

/** A worker answers within this, beside the time that its modules may take. Milliseconds. */
const BIND_MS = 10_000;
const MAY_END_MS = 60_000;

/** A container for one life of a node. Parts that need I/O to be made are registered by whoever starts the agent. */
export function agentContainer(workers: { storeDir: string }): DependencyContainer {
  const c = root.createChildContainer();
  const get = getterOf(c);
  const provide: t.Provide = (token, make) => {
    c.register(token, { useFactory: instanceCachingFactory(() => make(get)) });
  };

  provide(t.FAILED, (of) => {
    const { log } = of(t.CONFIG);
    return (what, error) =>
      log(`could not ${what}: ${error instanceof Error ? error.message : String(error)}`);
  });
  provide(t.MALFORMED, (of) => new Malformed(of(t.CONFIG).log));
  provide(t.PEERS, (of) => new Peers(of(t.TRANSPORT).inbox));
  provide(t.ACCOUNT, (of) => new ResourceAccount(of(t.OFFER).total));
  provide(t.VIEW, () => new ClusterView());
  provide(t.LIVENESS, (of) => new Liveness(of(t.CONFIG).deadAfterMs, CONTROLLER_TIMES.lookMs));
  provide(t.OUTPUTS, (of) => new Outputs(of(t.PEERS), (job) => get(t.JOBS).isOver(job)));
  provide(t.POOL, (of) => {
    const config = of(t.CONFIG);
    const peers = of(t.PEERS);
    return new WorkerPool(
      {
        config: {
          node: config.node,
          agent: config.agent,
          subjectRoot: config.subjects.root,
          cluster: config.subjects.cluster,
          socketDir: config.socketDir,
          secret: config.secret,
          storeDir: workers.storeDir,
          links: config.links,
          parentPid: process.pid,
          broker: config.broker,
        },
        prestart: config.prestart,
        execArgv: config.workerExecArgv,
        logDir: config.logDir,
        workerMain: config.workerMain,
      },
      {
        bind: async (worker, env) => {
          const ask = { spec: env.job, runtimeEnv: env.runtimeEnv };
          // A worker that can still tell its own deadline does so first.
          const timeoutMs = loadTimeoutMs({ ...process.env, ...env.envVars }) + BIND_MS;
          await peers.channel(worker).request(WorkerMethods.bind, ask, { timeoutMs });
        },
        askToEnd: (worker, reason) => peers.send(worker, [Op.WorkerExit, reason]),
        mayEnd: (worker) =>
          peers
            .channel(worker)
            .request(WorkerMethods.mayEnd, {}, { timeoutMs: MAY_END_MS })
            .then(
              ({ may }) => may,
              () => undefined,
            ),
        kept: (worker) => {
          if (c.isRegistered(t.SCHEDULER)) get(t.SCHEDULER).workerKept(worker);
        },
        exitFacts: (worker, report) => exitFacts(get, worker, report),
        exited: (worker, report) => {
          if (!c.isRegistered(t.ACTOR_BOOK)) return; // still starting: nobody can know the worker
          get(t.OBJECTS).clientDied(worker);
          get(t.DEATHS).workerExited(worker, report);
          get(t.ACTOR_HOST).workerExited(worker, report);
          get(t.SHARED_ACTORS).workerExited(worker, report);
          get(t.HEARTBEATS).changed();
        },
        neverStarted: (worker, error) => of(t.FAILED)(`start worker ${worker}`, error),
        lines: (worker, stream, name, lines) => {
          if (c.isRegistered(t.TABLES))
            get(t.OUTPUTS).lines(worker.env?.job, worker.pid, stream, name, lines);
        },
      },
    );
  });
  provide(t.BIDDING, (of) => {
    const config = of(t.CONFIG);
    const { node, agent, subjects } = config;
    const peers = of(t.PEERS);
    const malformed = of(t.MALFORMED);
    const pool = of(t.POOL);
    return new Bidding({
      connection: of(t.BROKER),
      subjects,
      node,
      agent,
      labels: of(t.OFFER).labels,
      account: of(t.ACCOUNT),
      bundles: of(t.BUNDLES),
      groups: (group) =>
        c.isRegistered(t.GROUP_BOOK) ? get(t.GROUP_BOOK).placement(group) : { kind: "unknown" },
      view: of(t.VIEW),
      heartbeatMs: config.heartbeatMs,
      standing: config.standing,
      effects: leaseEffects({
        own: { node, agent },
        peers,
        pool,
        gpus: of(t.OFFER).gpus,
        jobSpec: (job) => get(t.JOBS).spec(job),
        changed: () => get(t.HEARTBEATS).changed(),
      }),
      idleWorkers: () => pool.idleCount,
      state: () =>
        nodeState({
          config,
          scheduler: get(t.SCHEDULER),
          pool,
          actors: get(t.ACTOR_HOST).size + get(t.SHARED_ACTORS).size,
          placer: get(t.ACTOR_PLACER),
          store: get(t.TRAFFIC).gauge(get(t.NODE_STORE)),
        }),
      heard: (heartbeat) => get(t.HEARTBEATS).received(heartbeat),
      isOver: (job) => get(t.JOBS).isOver(job),
      beforeUse: (scheduling) => get(t.BUNDLE_HOST).beforeUse(scheduling),
      nodeOf: (process) => peers.nodeOf(process),
      met: (process, where) => peers.note(process, where),
      onMalformed: (where, error) => malformed.add(where, error),
      feed: feedHooks("heartbeats", malformed, of(t.FAILED)),
    });
  });
  provide(t.SCHEDULER, (of) => of(t.BIDDING).scheduler);
  provide(t.HEARTBEATS, (of) => {
    const { node, heartbeatMs } = of(t.CONFIG);
    return new Heartbeats(
      node,
      heartbeatMs,
      of(t.BIDDING),
      of(t.VIEW),
      of(t.LIVENESS),
      of(t.TABLES).nodeCache,
      {
        newcomer: (other) => get(t.LOCATIONS).newcomer(other),
      },
    );
  });
  provide(t.DEATHS, (of) => {
    const { node, agent, subjects } = of(t.CONFIG);
    return new Deaths({ node, agent }, of(t.TRANSPORT), of(t.PEERS), () => get(t.SCHEDULER), {
      publish: (death) => publishDeath(of(t.BROKER), subjects, death),
      creatorGone: (process, reason) => get(t.ACTOR_DIRECTORY).creatorGone(process, reason),
      driverGone: (process, reason) => get(t.JOBS).processGone(process, reason),
      ownerGone: (process) => get(t.OBJECTS).ownerGone(process),
      nodeRemoved: (gone) => {
        get(t.HEARTBEATS).removed(gone);
        get(t.LOCATIONS).nodeGone(gone);
      },
    });
  });
  provide(t.JOBS, (of) => {
    const { node, agent, driverGraceMs, subjects } = of(t.CONFIG);
    const { jobs, jobCache } = of(t.TABLES);
    return new Jobs(jobs, jobCache, driverGraceMs, {
      agent,
      node,
      cleanUpHere: (job) => cleanUpHere(get, job),
      cleanUpElsewhere: (job) => cleanUpElsewhere(get, job),
      removeRows: (job) => cleanUpRows(get, job),
      creatorGone: (process, reason) => {
        publishDeath(of(t.BROKER), subjects, { kind: "process", id: process, reason });
        get(t.ACTOR_DIRECTORY).creatorGone(process, reason);
      },
      failed: of(t.FAILED),
    });
  });
  provideVitals(provide, get, workers.storeDir);
  provideStore(provide, get);
  provideActors(provide, get);
  provideSleep(provide, get);
  provideReminders(provide);
  provideMailboxes(provide, get);
  provideGroups(provide, get);
  provideDrain(provide, get);
  return c;
}
