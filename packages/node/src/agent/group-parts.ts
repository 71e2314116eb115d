/** How the parts that have to do with placement groups are put together; called by the composition root. */
import { ActorDiedError, Agent as AgentMethods } from "@stingray/protocol";
import { BundleBook } from "@stingray/scheduler";
import { describe } from "../controller/actor-directory.js";
import { BundleHost } from "../groups/bundle-host.js";
import { GroupDirectory } from "../groups/group-directory.js";
import { GroupKeeper } from "../groups/group-keeper.js";
import { GroupMender } from "../groups/group-mender.js";
import { GroupNames } from "../groups/group-names.js";
import { GroupPlanner } from "../groups/group-planner.js";
import * as t from "./tokens.js";

/** How long a node may take to reserve bundles, in milliseconds. */
const PREPARE_MS = 2_500;
const COMMIT_MS = 2_500;

/**
 * A group that can't be written down for so long is refused. Milliseconds; with the time-out of a last try it is less than
 * what its creator waits for.
 */
const CLAIM_MS = 15_000;

/** Registers the parts of an agent that have to do with placement groups. */
export function provideGroups(provide: t.Provide, get: t.Get): void {
  provide(t.BUNDLES, (of) => new BundleBook(of(t.ACCOUNT)));
  provide(t.GROUP_NAMES, (of) => new GroupNames(of(t.TABLES).names, of(t.GROUP_BOOK)));
  provide(t.GROUP_DIRECTORY, (of) => {
    const { agent } = of(t.CONFIG);
    return new GroupDirectory(of(t.GROUP_BOOK), of(t.GROUP_NAMES), {
      agent,
      claimMs: CLAIM_MS,
      jobRuns: (job) => get(t.JOBS).runs(job),
      plan: (entry) => get(t.GROUP_PLANNER).plan(entry),
      failed: of(t.FAILED),
    });
  });
  provide(t.BUNDLE_HOST, (of) => {
    const { agent, node } = of(t.CONFIG);
    return new BundleHost(of(t.BUNDLES), of(t.GROUP_BOOK), {
      agent,
      node,
      close: (concerns, reason, forGood) => get(t.SCHEDULER).closeBundles(concerns, reason, forGood),
      killWorker: (worker, reason, forGood) => {
        const actor = forGood ? get(t.ACTOR_HOST).on(worker)?.spec : undefined;
        if (actor === undefined) {
          get(t.POOL).kill(worker, reason);
          return;
        }
        const cause = new ActorDiedError(`${describe(actor)} ended with its placement group: ${reason}`);
        get(t.ACTOR_DIRECTORY)
          .end(actor.actor, cause)
          .catch((error: unknown) => of(t.FAILED)(`end ${describe(actor)}`, error));
      },
      worksFor: (worker, job) => get(t.POOL).get(worker)?.env?.job.job === job,
      plan: (entry) => get(t.GROUP_PLANNER).plan(entry),
      changed: () => {
        get(t.SCHEDULER).capacityChanged();
        get(t.HEARTBEATS).changed();
      },
      isOver: (job) => get(t.JOBS).isOver(job),
      isDraining: () => get(t.SCHEDULER).draining,
      failed: of(t.FAILED),
    });
  });
  provide(t.GROUP_PLANNER, (of) => {
    const { agent } = of(t.CONFIG);
    const peers = of(t.PEERS);
    const host = of(t.BUNDLE_HOST);
    const failed = of(t.FAILED);
    const quietly = (what: string, work: Promise<unknown>): void => {
      // The row is what counts: that node sees it, or its reservation ends by itself.
      work.catch((error: unknown) => failed(what, error));
    };
    return new GroupPlanner(of(t.GROUP_BOOK), of(t.VIEW), {
      agent,
      ownBid: () => get(t.HEARTBEATS).ownBid(),
      prepare: async (to, reservation) => {
        if (to.agent === agent) {
          const reason = host.prepare(reservation);
          return reason === undefined ? undefined : { reason };
        }
        const { reserved, reason, available } = await peers
          .channel(to.agent, to.node)
          .request(AgentMethods.bundlePrepare, reservation, { timeoutMs: PREPARE_MS });
        return reserved ? undefined : { reason: reason ?? "it gave no reason", available };
      },
      commit: (to, group, attempt) => {
        if (to.agent === agent) return; // it has seen its own write
        const asked = peers
          .channel(to.agent, to.node)
          .request(AgentMethods.bundleCommit, { group, attempt }, { timeoutMs: COMMIT_MS });
        quietly(`tell node ${to.node} of its bundles of placement group ${group}`, asked);
      },
      cancel: (to, group, attempt) => {
        if (to.agent === agent) {
          host.cancel(group, attempt);
          return;
        }
        const asked = peers
          .channel(to.agent, to.node)
          .request(AgentMethods.bundleCancel, { group, attempt }, { timeoutMs: COMMIT_MS });
        quietly(`give back what node ${to.node} had reserved for placement group ${group}`, asked);
      },
      failed,
    });
  });
  provide(t.GROUP_MENDER, (of) => {
    const { nodeCache, jobCache } = of(t.TABLES);
    return new GroupMender(of(t.GROUP_BOOK), of(t.GROUP_DIRECTORY), nodeCache, jobCache, {
      agent: of(t.CONFIG).agent,
      plan: (entry) => get(t.GROUP_PLANNER).plan(entry),
      adopt: (entry) => get(t.GROUP_KEEPER).adopt(entry),
    });
  });
  provide(
    t.GROUP_KEEPER,
    (of) =>
      new GroupKeeper(of(t.GROUP_BOOK), of(t.GROUP_NAMES), {
        agent: of(t.CONFIG).agent,
        isPlanning: (group) => get(t.GROUP_PLANNER).isPlanning(group),
        plan: (entry) => get(t.GROUP_PLANNER).plan(entry),
        remove: (group, reason) => get(t.GROUP_DIRECTORY).remove(group, reason),
        failed: of(t.FAILED),
      }),
  );
}

/** Makes the parts that act on rows follow the table. Returns what ends that. */
export function followGroups(get: t.Get): () => Promise<void> {
  const book = get(t.GROUP_BOOK);
  const host = get(t.BUNDLE_HOST);
  const planner = get(t.GROUP_PLANNER);
  for (const entry of book.entries()) planner.rowChanged(entry.key, entry);
  book.onChange((group, now) => {
    planner.rowChanged(group, now);
    host.rowChanged(group, now);
    // Who waits for the group may go on, or fail.
    get(t.SCHEDULER).capacityChanged();
  });
  const keeper = get(t.GROUP_KEEPER);
  keeper.start();
  return async () => {
    keeper.stop();
    planner.stop();
    host.stop();
    await book.stop();
  };
}

/** Answers what processes and other agents ask about groups. */
export function serveGroups(get: t.Get): void {
  const { inbox } = get(t.TRANSPORT);
  const directory = get(t.GROUP_DIRECTORY);
  const host = get(t.BUNDLE_HOST);
  inbox.serve(AgentMethods.groupCreate, async ({ spec }) => {
    await directory.create(spec);
    return {};
  });
  inbox.serve(AgentMethods.groupState, ({ group, after, waitMs }) => directory.state(group, after, waitMs));
  inbox.serve(AgentMethods.groupFind, ({ namespace, name }) => directory.find(namespace, name));
  inbox.serve(AgentMethods.groupList, () => ({ groups: directory.list() }));
  inbox.serve(AgentMethods.groupRemove, async ({ group, reason }) => {
    await directory.remove(group, reason);
    return {};
  });
  inbox.serve(AgentMethods.bundlePrepare, (reservation) => {
    const reason = host.prepare(reservation);
    const { available } = get(t.ACCOUNT);
    return reason === undefined ? { reserved: true, available } : { reserved: false, reason, available };
  });
  inbox.serve(AgentMethods.bundleCommit, async ({ group }) => {
    await host.commit(group);
    return {};
  });
  inbox.serve(AgentMethods.bundleCancel, ({ group, attempt }) => {
    host.cancel(group, attempt);
    return {};
  });
}
