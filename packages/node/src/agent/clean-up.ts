/** What is done on the nodes when a job is over. */
import { Agent as AgentMethods, type JobId, type ProcessId } from "@stingray/protocol";
import * as t from "./tokens.js";

/** How long another node may take, in milliseconds. Drivers wait for it. */
const CLEAN_UP_MS = 3_000;

/** What the actors of an ended job may take for their `onDeactivate`, in milliseconds. */
const DEACTIVATE_MS = 2_000;

/** Ends what the job has on this node, detached actors excepted; resolves when its last output was sent. */
export async function cleanUpHere(get: t.Get, job: JobId): Promise<void> {
  const outputs = get(t.OUTPUTS);
  const host = get(t.ACTOR_HOST);
  const pool = get(t.POOL);
  const spec =
    get(t.TABLES).jobCache.get(job)?.value.spec ?? pool.all().find((w) => w.env?.job.job === job)?.env?.job;
  outputs.endBegins(job);
  const shared = get(t.SHARED_ACTORS);
  const leaving = [...host.toDeactivate(job), ...shared.toDeactivate(job)].flatMap(
    (worker) => pool.get(worker) ?? [],
  );
  shared.forgetJob(job);
  const light = shared.endJob(job, DEACTIVATE_MS / 2);
  host.forgetJob(job);
  get(t.ACTOR_PLACER).endJob(job);
  get(t.SCHEDULER).jobEnded(job);
  get(t.GROUP_PLANNER).endJob(job);
  get(t.BUNDLE_HOST).endJob(job);
  // Asked to end, then SIGTERM, then SIGKILL, half of the time apart.
  for (const worker of leaving) worker.end("job-ended", DEACTIVATE_MS / 2);
  const spared = (worker: ProcessId): boolean =>
    host.on(worker)?.spec.detached === true ||
    shared.isNeeded(worker) ||
    leaving.some(({ id }) => id === worker);
  await Promise.all([
    light,
    pool.endJob(job, spared, "job-ended"),
    ...leaving.flatMap((worker) => [worker.whenGone(), worker.drained()]),
  ]);
  outputs.endDone(spec, job);
  // Its driver is gone, too: what it had leased or held here goes.
  if (spec !== undefined) get(t.OBJECTS).clientDied(spec.driver as ProcessId);
  const detached = detachedProcesses(get);
  get(t.OBJECTS).freeJob(job, (owner) => detached.has(owner));
  get(t.HEARTBEATS).changed();
}

/** Asks every other live agent to do the same now. */
export async function cleanUpElsewhere(get: t.Get, job: JobId): Promise<void> {
  const peers = get(t.PEERS);
  const own = get(t.CONFIG).node;
  const asked = get(t.VIEW)
    .facts()
    .filter(({ node }) => node !== own)
    .map(({ agent, node }) =>
      peers.channel(agent, node).request(AgentMethods.jobCleanup, { job }, { timeoutMs: CLEAN_UP_MS }),
    );
  for (const outcome of await Promise.allSettled(asked)) {
    // That agent sees the job's row and does the same a little later, or it is dying.
    if (outcome.status === "rejected")
      get(t.FAILED)(`have job ${job} cleaned up on a node in time`, outcome.reason);
  }
}

/** The processes of detached actors, which go on beyond the end of their jobs. */
function detachedProcesses(get: t.Get): Set<string> {
  const processes = new Set<string>();
  for (const { value } of get(t.ACTOR_BOOK).entries())
    if (value.spec.detached && value.process !== undefined) processes.add(value.process);
  return processes;
}
