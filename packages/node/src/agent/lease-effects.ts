/** What the lease scheduler does to the world: messages to submitters and workers. What it asks of other agents: bidding/. */
import { Op, encodeError, type JobSpec, type NodeId, type ProcessId } from "@stingray/protocol";
import type { NodeGpus } from "../gpu/node-gpus.js";
import type { BiddingOptions } from "./bidding/mod.js";
import type { WorkerPool } from "../pool/pool.js";
import type { Peers } from "./peers.js";

export interface EffectParts {
  own: { node: NodeId; agent: ProcessId };
  peers: Peers;
  pool: WorkerPool;
  gpus: NodeGpus;
  jobSpec: (job: string) => Promise<JobSpec>;
  /** The books changed: the next heartbeat should say so. */
  changed: () => void;
}

export function leaseEffects({
  own,
  peers,
  pool,
  gpus: names,
  jobSpec,
  changed,
}: EffectParts): BiddingOptions["effects"] {
  return {
    acquireWorker: async ({ job, shape }) => {
      const spec = await jobSpec(job);
      const worker = await pool.acquire(spec, shape);
      changed();
      return worker;
    },
    releaseWorker: (worker, fate) => {
      pool.release(worker, fate);
      changed();
    },
    keptWorkers: () => pool.keptCount,
    assign: (worker, lease, submitter, resources, gpus) => {
      const process = pool.get(worker);
      if (process !== undefined && gpus.length > 0) process.hadGpus = true;
      const visible = names.variable(gpus);
      peers.send(worker, [Op.WorkerAssign, lease, submitter, resources, names.numbers(gpus), visible]);
    },
    grant: ({ submitter, key, lease, worker }) => {
      peers.send(submitter, [Op.LeaseGrant, key, lease, worker, own.node, own.agent]);
      changed();
    },
    coming: ({ submitter, key, lease, coming, promised }) =>
      peers.send(submitter, [
        Op.LeaseComing,
        key,
        lease,
        coming,
        ...(promised === undefined ? [] : [promised]),
      ]),
    revoke: (submitter, lease) => peers.send(submitter, [Op.LeaseRevoke, lease]),
    fail: (submitter, key, error, part) =>
      peers.send(submitter, [Op.LeaseFailed, key, encodeError(error), ...(part === undefined ? [] : [part])]),
    pending: (submitter, key, reason, notice) =>
      peers.send(submitter, [Op.LeasePending, key, reason, notice]),
    lost: (submitter, lease, worker, report) => peers.send(submitter, [Op.LeaseLost, lease, worker, report]),
    now: () => performance.now(),
    defer: (ms, fn) => {
      const timer = setTimeout(fn, ms).unref();
      return () => clearTimeout(timer);
    },
    random: Math.random,
  };
}
