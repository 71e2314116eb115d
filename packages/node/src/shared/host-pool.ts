/** Which process of this node an actor goes to that lives with others: few processes, started on demand. */
import {
  encodeError,
  newActorId,
  toError,
  type ActorSpec,
  type JobId,
  type ProcessId,
  type WireError,
} from "@stingray/protocol";
import { RestartPauses } from "../controller/restart-pauses.js";
import { HostProcess } from "./host-process.js";

export interface HostPoolHooks {
  /** What may share a process: equal for equal jobs and environments. */
  keyOf(spec: ActorSpec): Promise<string>;
  /** A worker process of its job and environment, for this alone. @throws RuntimeEnvError */
  acquire(spec: ActorSpec): Promise<ProcessId>;
  /** Has the worker become a host; its calls come to the endpoint `host`. */
  open(worker: ProcessId, host: string): Promise<void>;
  /** It has been empty for a while. */
  end(worker: ProcessId, reason: string): void;
}

export interface HostPoolLimits {
  /** Processes for one job and environment. */
  readonly processes: number;
  /** A process without actors stays for so long. Milliseconds. @defaultValue 30 s */
  readonly idleMs?: number;
}

/** Another process is only started when each has so many. */
const FULL_ENOUGH = 500;
/** Beyond this a process takes no more. */
const MOST_ACTORS = 100_000;
const IDLE_MS = 30_000;

export class HostPool {
  private readonly hosts = new Map<string, HostProcess>();
  private readonly byWorker = new Map<ProcessId, HostProcess>();
  private readonly pauses = new RestartPauses();
  /** When processes of a kind may be started again, by `performance.now()`. */
  private readonly notBefore = new Map<string, number>();

  constructor(
    private readonly limits: HostPoolLimits,
    private readonly hooks: HostPoolHooks,
  ) {}

  /** By its endpoint. */
  get(host: string | undefined): HostProcess | undefined {
    return host === undefined ? undefined : this.hosts.get(host);
  }
  on(worker: ProcessId): HostProcess | undefined {
    return this.byWorker.get(worker);
  }
  all(): IterableIterator<HostProcess> {
    return this.hosts.values();
  }

  /** Actors on this node that live with others. */
  get size(): number {
    let size = 0;
    for (const { actors } of this.hosts.values()) size += actors.size;
    return size;
  }
  get hasRoom(): boolean {
    return this.size < this.limits.processes * MOST_ACTORS;
  }

  /**
   * Chooses a process for it, starting one where there is none or all have many; it counts as living there at once.
   * @param epoch of the incarnation; 0 where it is not known before its row is written: see `named`
   */
  async choose(spec: ActorSpec, epoch: number): Promise<HostProcess> {
    const key = await this.hooks.keyOf(spec);
    let best: HostProcess | undefined;
    let same = 0;
    for (const host of this.hosts.values()) {
      if (host.key !== key || !host.takes || host.stuck.has(spec.actor)) continue;
      same++;
      if (best === undefined || host.actors.size < best.actors.size) best = host;
    }
    if (best === undefined || (best.actors.size >= FULL_ENOUGH && same < this.limits.processes))
      best = this.begin(spec, key);
    clearTimeout(best.idle);
    best.idle = undefined;
    if (spec.detached && !best.actors.has(spec.actor)) best.detached++;
    best.actors.set(spec.actor, epoch);
    if (Object.hasOwn(spec.methods, "onDeactivate")) best.deactivates = true;
    return best;
  }

  private begin(spec: ActorSpec, key: string): HostProcess {
    const id = newActorId();
    const up = this.start(spec, key, id);
    const host = new HostProcess(id, spec.job as JobId, key, up);
    this.hosts.set(id, host);
    up.then(
      (worker) => host.step({ kind: "opened", worker }),
      (error: unknown) => {
        if (host.usable) this.pause(key);
        host.step({ kind: "ended", cause: encodeError(toError(error)) });
        this.hosts.delete(id);
      },
    );
    return host;
  }

  private async start(spec: ActorSpec, key: string, id: string): Promise<ProcessId> {
    const wait = (this.notBefore.get(key) ?? 0) - performance.now();
    if (wait > 0) await new Promise((over) => setTimeout(over, wait).unref());
    const worker = await this.hooks.acquire(spec);
    const host = this.hosts.get(id);
    if (host !== undefined) this.byWorker.set(worker, host);
    try {
      await this.hooks.open(worker, id);
    } catch (error) {
      // It is nobody's else, and would stay for ever.
      this.byWorker.delete(worker);
      this.hooks.end(worker, "it did not become a host of actors");
      throw error;
    }
    return worker;
  }

  /** The row of one that was chosen for with epoch 0 is written. */
  named(host: HostProcess, actor: string, epoch: number): void {
    if (host.actors.get(actor) === 0) host.actors.set(actor, epoch);
  }

  /** This incarnation lives there no more; nothing happens where it does not, or another one does. */
  left(host: HostProcess, spec: Pick<ActorSpec, "actor" | "detached">, epoch: number): void {
    if (host.actors.get(spec.actor) !== epoch) return;
    host.actors.delete(spec.actor);
    if (spec.detached) host.detached--;
    this.emptied(host);
  }

  /** All of these have left, none of which is detached. */
  allLeft(host: HostProcess, actors: Iterable<string>): void {
    for (const actor of actors) host.actors.delete(actor);
    this.emptied(host);
  }

  private emptied(host: HostProcess): void {
    if (host.actors.size > 0 || !host.takes || host.idle !== undefined) return;
    host.idle = setTimeout(() => {
      host.idle = undefined;
      const { worker } = host;
      if (host.actors.size > 0 || worker === undefined) return;
      host.step({ kind: "unused" });
      this.hooks.end(worker, "no actor lives there any more");
    }, this.limits.idleMs ?? IDLE_MS).unref();
  }

  /** Its process has ended. Soon after it began, again and again: the next one waits. */
  gone(worker: ProcessId, cause: WireError): HostProcess | undefined {
    const host = this.byWorker.get(worker);
    if (host === undefined) return undefined;
    clearTimeout(host.idle);
    host.step({ kind: "ended", cause });
    this.byWorker.delete(worker);
    if (host.actors.size > 0) this.pause(host.key);
    return host;
  }

  private pause(key: string): void {
    const now = performance.now();
    for (const [other, until] of this.notBefore) if (until <= now) this.notBefore.delete(other);
    this.notBefore.set(key, now + this.pauses.next(key, now).ms);
  }

  /** Nothing more is asked of it. */
  forget(host: HostProcess): void {
    this.hosts.delete(host.id);
  }

  stop(): void {
    for (const { idle } of this.hosts.values()) clearTimeout(idle);
  }
}
