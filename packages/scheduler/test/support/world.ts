/** Nodes with schedulers and worker pools, wired together in memory; what they say to submitters is recorded. */
import {
  newAgentId,
  newNodeId,
  newWorkerId,
  type StingrayError,
  WorkerCrashedError,
  type ExitReport,
  type JobId,
  type NodeId,
  type PendingNotice,
  type ProcessId,
  type Shape,
} from "@stingray/protocol";
import { ClusterView, LeaseScheduler, ResourceAccount } from "../../src/mod.js";
import type { Bid, LeaseEffects, LeaseLimits } from "../../src/mod.js";
import type { Network } from "./calls.js";
import { Clock, seeded } from "./clock.js";

export interface Grant {
  node: SimNode;
  submitter: ProcessId;
  key: string;
  lease: string;
  worker: ProcessId;
}

/** A submitter as the world sees it. */
export interface Listener {
  granted?(g: Grant): void;
  coming?(lease: string, coming: boolean, promised: boolean): void;
  revoked?(lease: string): void;
  failed?(key: string, error: StingrayError, part: number | undefined): void;
  pending?(key: string, reason: string, notice: PendingNotice): void;
  lost?(lease: string): void;
}

export interface SimOptions {
  total: Record<string, number>;
  labels?: Record<string, string>;
  limits?: Partial<LeaseLimits>;
}

export const EXIT: ExitReport = { pid: 1, signal: "SIGKILL", stderr: [] };

export class SimNode {
  readonly node: NodeId = newNodeId();
  readonly agent: ProcessId = newAgentId();
  readonly account: ResourceAccount;
  readonly view = new ClusterView();
  readonly scheduler: LeaseScheduler;
  readonly labels: Record<string, string>;
  readonly idle = new Map<string, ProcessId[]>();
  readonly workers = new Map<ProcessId, string>();
  readonly assigned = new Set<string>();
  started = 0;
  mostStarting = 0;
  mostWorkers = 0;
  /** The most that it ever had of each resource. */
  readonly most: Record<string, number>;
  /** Processes without a lease that stay for what they own. */
  kept = 0;
  failStart: StingrayError | undefined;
  alive = true;
  #sequence = 0;
  #starting = 0;
  #saidAt = 0;
  #told = "";

  constructor(
    readonly world: World,
    o: SimOptions,
  ) {
    this.account = new ResourceAccount(o.total);
    this.most = { ...o.total };
    this.labels = o.labels ?? {};
    this.scheduler = new LeaseScheduler({
      node: this.node,
      labels: this.labels,
      account: this.account,
      view: this.view,
      effects: this.#effects(),
      bid: () => this.#bid(),
      ...(o.limits === undefined ? {} : { limits: o.limits }),
    });
  }

  #bid(): Bid {
    const { account, node, agent, labels } = this;
    const snapshot = this.scheduler.snapshot();
    return {
      node,
      agent,
      available: account.available,
      total: account.total,
      labels,
      queued: snapshot.demands.length,
      idleWorkers: [...this.idle.values()].reduce((n, list) => n + list.length, 0),
      draining: snapshot.draining,
      sequence: this.#sequence,
    };
  }

  /** Its bid, newer than any before. */
  fresh(): Bid {
    this.#sequence++;
    return this.#bid();
  }

  /** Changes how much it has of a resource. What is in use stays in use. */
  resize(name: string, amount: number): void {
    this.account.setTotal(name, amount);
    this.most[name] = Math.max(this.most[name] ?? 0, amount);
    this.scheduler.capacityChanged();
  }

  /** Tells the other nodes what is free here. */
  bid(): void {
    this.#sequence++;
    const bid = this.#bid();
    this.#told = JSON.stringify(bid.available);
    for (const other of this.world.nodes) {
      if (other === this) continue;
      this.world.send(() => {
        if (other.alive) other.view.update(bid, this.world.clock.now());
      });
    }
  }

  /** Bids on change and with each heartbeat, as agents do. */
  heartbeat(ms: number): void {
    const { clock } = this.world;
    let beats = 0;
    const tick = (): void => {
      if (!this.alive || this.world.stopped) return;
      if (beats++ % 20 === 0 || JSON.stringify(this.account.available) !== this.#told) this.bid();
      clock.defer(ms / 20, tick);
    };
    tick();
  }

  kill(worker: ProcessId): void {
    if (!this.workers.delete(worker)) return;
    for (const list of this.idle.values()) {
      const at = list.indexOf(worker);
      if (at >= 0) list.splice(at, 1);
    }
    this.world.onWorkerExit?.(this, worker);
    this.scheduler.workerExited(worker, EXIT);
  }

  /** The machine is gone. The others learn it later. */
  die(): void {
    this.alive = false;
    this.scheduler.close();
    this.world.send(() => {
      for (const other of this.world.nodes) if (other.alive) other.view.remove(this.node);
      this.world.onNodeDeath?.(this);
    });
  }

  #effects(): LeaseEffects {
    const { world } = this;
    const tell = (to: ProcessId, what: (listener: Listener) => void): void =>
      world.send(() => {
        if (!this.alive) return;
        const listener = world.listeners.get(to);
        if (listener !== undefined) what(listener);
      });
    return {
      ...world.network?.effects(this),
      now: world.clock.now,
      random: world.random,
      defer: world.clock.defer,
      acquireWorker: async ({ job, shape }) => this.#acquire(job, shape),
      keptWorkers: () => this.kept,
      releaseWorker: (worker, fate) => {
        const env = this.workers.get(worker);
        if (env === undefined) return;
        if (fate === "reuse") this.idle.set(env, [...(this.idle.get(env) ?? []), worker]);
        else world.clock.defer(world.endMs, () => this.kill(worker));
      },
      assign: (_worker, lease) => this.assigned.add(lease),
      grant: (g) => {
        if (!this.assigned.has(g.lease)) throw new Error("granted before it was assigned");
        // A grant that finds nobody breaks the channel, by which its agent sees that the process is gone.
        world.send(() => {
          if (!this.alive) return;
          const listener = world.listeners.get(g.submitter);
          if (listener === undefined) this.scheduler.submitterGone(g.submitter);
          else listener.granted?.({ ...g, node: this });
        });
      },
      coming: ({ submitter, lease, coming, promised }) => {
        // One says the opposite of another, so here the order counts, which channels keep.
        const { clock, latencyMs } = world;
        this.#saidAt = Math.max(this.#saidAt, clock.now() + world.random() * latencyMs);
        const say = (): void => world.listeners.get(submitter)?.coming?.(lease, coming, promised === true);
        clock.defer(this.#saidAt - clock.now(), () => this.alive && say());
      },
      revoke: (to, lease) => tell(to, (l) => l.revoked?.(lease)),
      fail: (to, key, error, part) => tell(to, (l) => l.failed?.(key, error, part)),
      pending: (to, key, reason, notice) => tell(to, (l) => l.pending?.(key, reason, notice)),
      lost: (to, lease) => tell(to, (l) => l.lost?.(lease)),
      offer: async (to, demand, count) => {
        await world.delay();
        const target = world.nodes.find((n) => n.node === to.node);
        if (target === undefined || !target.alive) throw new WorkerCrashedError("the node is gone");
        world.offers++;
        const answer = target.scheduler.offered({ ...demand, count });
        await world.delay();
        if (!target.alive) throw new WorkerCrashedError("the node is gone");
        return answer;
      },
    };
  }

  async #acquire(job: JobId, shape: Shape): Promise<ProcessId> {
    const env = JSON.stringify([job, shape.runtimeEnv]);
    const idle = this.idle.get(env)?.pop();
    if (idle !== undefined) return idle;
    this.started++;
    this.mostStarting = Math.max(this.mostStarting, ++this.#starting);
    const { startMs, random } = this.world;
    await this.world.pause(startMs * (0.5 + random() / 2));
    this.#starting--;
    if (this.failStart !== undefined) throw this.failStart;
    const worker = newWorkerId();
    this.workers.set(worker, env);
    this.mostWorkers = Math.max(this.mostWorkers, this.workers.size);
    return worker;
  }
}

export class World {
  readonly clock = new Clock();
  readonly random: () => number;
  readonly nodes: SimNode[] = [];
  readonly listeners = new Map<ProcessId, Listener>();
  offers = 0;
  stopped = false;
  /** Where nodes do not hear each other's bids. To be set before the first node. */
  network: Network | undefined;
  /** The longest a message takes, in milliseconds. 0: none is delayed. */
  latencyMs = 0;
  startMs = 0;
  /** How long a process takes to end, in milliseconds. */
  endMs = 1;
  onWorkerExit: ((node: SimNode, worker: ProcessId) => void) | undefined;
  onNodeDeath: ((node: SimNode) => void) | undefined;

  constructor(seed = 1) {
    this.random = seeded(seed);
  }

  node(o: SimOptions): SimNode {
    const node = new SimNode(this, o);
    this.nodes.push(node);
    return node;
  }

  send(deliver: () => void): void {
    if (this.latencyMs === 0) deliver();
    else this.clock.defer(this.random() * this.latencyMs, deliver);
  }

  delay(): Promise<void> {
    return this.pause(this.random() * this.latencyMs);
  }

  pause(ms: number): Promise<void> {
    if (ms === 0) return Promise.resolve();
    return new Promise((resolve) => this.clock.defer(ms, resolve));
  }

  /** Ends heartbeats and timers, so that nothing is left to happen. */
  stop(): void {
    this.stopped = true;
    for (const node of this.nodes) node.scheduler.close();
  }
}
