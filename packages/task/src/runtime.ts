/** This process's part in the cluster, put together: one for a driver between `init()` and `shutdown()`, one for a worker. */
import { registerWireType } from "@stingray/objectstore";
import {
  Agent,
  NotInitializedError,
  Op,
  Process,
  ProtocolError,
  isNodeId,
  isObjectId,
  type JobSpec,
  type Location,
  type NodeId,
  type ObjectId,
  type ProcessId,
  type StingrayError,
} from "@stingray/protocol";
import type { Channel, Transport } from "@stingray/broker";
import type { DependencyContainer } from "tsyringe";
import { CallRunner } from "./execute/runner.js";
import { Home, type FindHome, type HomeAddress } from "./home.js";
import { serveMoves } from "./objects/moved.js";
import { ObjectTable } from "./objects/table.js";
import type { LocalStore } from "./objects/local-store.js";
import { processMemoryOf } from "./objects/memory.js";
import { Recoveries } from "./objects/recovery.js";
import { RemoteStore } from "./objects/remote-store.js";
import { Storage } from "./objects/storage.js";
import { Values, type DecodeContext } from "./objects/values.js";
import { REF_TAG } from "./objects/object-ref.js";
import { registerGroups } from "./groups/placement-group.js";
import { processState } from "./process-state.js";
import { CallTable } from "./submit/calls.js";
import { Submitter } from "./submit/submitter.js";
import { Explainer } from "./why/explainer.js";
import { WaitStates } from "./why/wait-states.js";

export interface RuntimeOptions {
  readonly transport: Transport;
  readonly process: ProcessId;
  readonly node: NodeId | undefined;
  readonly home: HomeAddress;
  /** Drivers: finds another agent when theirs is gone. */
  readonly findHome?: FindHome | undefined;
  /** A worker that is not bound to a job yet has none. */
  readonly job: JobSpec | undefined;
  readonly store: LocalStore | undefined;
  /** Where marks of cancelled tasks lie; the node's socket directory. */
  readonly markDir: string | undefined;
  /** Text for the user: something waits and why. */
  readonly warn: (message: string) => void;
  readonly container: () => DependencyContainer;
  /** The cluster can't be reached any more. */
  readonly onLost: (reason: Error) => void;
}

/** Room for small values may have to wait for others to be written to disk. Milliseconds. */
const LEASE_DEADLINE_MS = 120_000;

/** Large values are given back in batches, once per turn. */
type Frees = Map<ProcessId, { node: NodeId; ids: ObjectId[] }>;

export class Runtime {
  readonly transport: Transport;
  readonly process: ProcessId;
  readonly node: NodeId | undefined;
  readonly table: ObjectTable;
  readonly values: Values;
  readonly storage: Storage;
  private readonly remoteStore: RemoteStore;
  private readonly recoveries: Recoveries;
  readonly calls: CallTable;
  readonly submitter: Submitter;
  readonly runner: CallRunner;
  /** Says why something waits. */
  readonly explainer: Explainer;
  /** Says what keeps tasks and calls from going on, to whoever looks for circles. */
  readonly waitStates: WaitStates;
  readonly home: Home;
  readonly container: () => DependencyContainer;
  readonly warn: (message: string) => void;
  readonly store: LocalStore | undefined;
  /** Where marks of cancelled tasks and calls lie. */
  readonly markDir: string | undefined;
  private jobSpec: JobSpec | undefined;
  private failure: StingrayError | undefined;
  private abandoned = false;
  private waits = 0;
  private readonly frees: Frees = new Map();
  private readonly cancelHooks = new Set<
    (sequence: number, o: { force: boolean; recursive: boolean }) => Promise<boolean>
  >();
  private readonly goneHooks = new Set<(process: ProcessId, why: StingrayError) => void>();
  private readonly stopHooks = new Set<(error: StingrayError) => void>();

  private constructor(o: RuntimeOptions) {
    this.transport = o.transport;
    this.process = o.process;
    this.node = o.node;
    this.jobSpec = o.job;
    this.container = o.container;
    this.warn = o.warn;
    this.store = o.store;
    this.markDir = o.markDir;
    const channelTo = (process: ProcessId, node: NodeId | undefined): Channel =>
      this.channelTo(process, node);
    const freeStored = (id: ObjectId, location: Location): void => this.freeStored(id, location);
    this.table = new ObjectTable({
      process: o.process,
      node: o.node,
      isWorker: processState.isWorker,
      channelTo,
      freeStored,
    });
    const home = (): Home => this.home;
    const store = (): LocalStore | undefined => this.usableStore;
    this.remoteStore = new RemoteStore({ process: o.process, channelTo });
    const flushFrees = (): void => this.flushFrees();
    this.storage = new Storage({ node: o.node, store, home, remote: this.remoteStore, flushFrees });
    this.recoveries = new Recoveries({ table: this.table, home, channelTo, freeStored });
    this.values = new Values({
      table: this.table,
      storage: this.storage,
      recoveries: this.recoveries,
      store,
    });
    this.calls = new CallTable({ table: this.table, freeStored });
    this.runner = new CallRunner({ table: this.table, values: this.values, freeStored, channelTo });
    this.submitter = new Submitter({
      table: this.table,
      values: this.values,
      calls: this.calls,
      job: () => this.job,
      home: () => this.home,
      channelTo,
      warn: o.warn,
      markDir: o.markDir,
    });
    this.explainer = new Explainer({ process: o.process, table: this.table, submitter: this.submitter });
    this.waitStates = new WaitStates({ process: o.process, submitter: this.submitter, channelTo });
    this.home = Home.open(o.transport, o.home, o.findHome, o.onLost);
    o.store?.attach({
      lease: (bytes) => this.home.request(Agent.storeLease, { bytes }, { timeoutMs: LEASE_DEADLINE_MS }),
      giveBack: (files) => this.home.send([Op.StoreReturn, files]),
    });
  }

  /** Starts to serve this process's inbox. The transport must be new. */
  static start(o: RuntimeOptions): Runtime {
    registerReferences();
    registerGroups();
    const runtime = new Runtime(o);
    const { inbox } = o.transport;
    runtime.table.serve(inbox);
    serveMoves(inbox, runtime.table);
    runtime.calls.serve(inbox);
    runtime.submitter.serve(inbox);
    runtime.explainer.serve(inbox);
    runtime.waitStates.serve(inbox);
    runtime.recoveries.serve(inbox);
    inbox.serve(Process.ping, () => ({}));
    inbox.serve(Process.memory, ({ limit }) => processMemoryOf(runtime.table, runtime.process, limit));
    inbox.onChannelClosed((channel, reason) => {
      const process = channel.peer.process ?? (channel.peer.endpoint as ProcessId);
      runtime.table.processGone(process, reason.message);
      for (const hook of runtime.goneHooks) hook(process, reason);
    });
    runtime.home.onMoved(() => runtime.submitter.homeMoved());
    return runtime;
  }

  /** @throws ProtocolError in a worker that no job was given to */
  get job(): JobSpec {
    if (this.jobSpec === undefined)
      throw new ProtocolError("this worker was sent work before it was bound to a job");
    return this.jobSpec;
  }

  /** A driver whose node died lives on under another node's agent, without a store on its machine. */
  private get usableStore(): LocalStore | undefined {
    return this.home.node === this.node ? this.store : undefined;
  }

  get isBound(): boolean {
    return this.jobSpec !== undefined;
  }

  bind(job: JobSpec): void {
    this.jobSpec = job;
  }

  channelTo(process: ProcessId, node: NodeId | undefined): Channel {
    return this.transport.inbox.channel(
      node === undefined ? { endpoint: process } : { endpoint: process, node },
    );
  }

  private freeStored(id: ObjectId, [, copies]: Location): void {
    if (this.frees.size === 0) process.nextTick(() => this.flushFrees());
    for (const [node, agent] of copies) {
      const at = this.frees.get(agent as ProcessId);
      if (at === undefined) this.frees.set(agent as ProcessId, { node: node as NodeId, ids: [id] });
      else at.ids.push(id);
    }
  }

  private flushFrees(): void {
    for (const [agent, { node, ids }] of this.frees) this.channelTo(agent, node).send([Op.StoreFree, ids]);
    this.frees.clear();
  }

  /** Others that know how to cancel by sequence number (actor calls). They answer whether it was theirs. */
  onCancel(hook: (sequence: number, o: { force: boolean; recursive: boolean }) => Promise<boolean>): void {
    this.cancelHooks.add(hook);
  }

  onProcessGone(hook: (process: ProcessId, why: StingrayError) => void): void {
    this.goneHooks.add(hook);
  }

  onStop(hook: (error: StingrayError) => void): void {
    this.stopHooks.add(hook);
  }

  async cancel(sequence: number, o: { force: boolean; recursive: boolean }): Promise<void> {
    const task = this.submitter.find(sequence);
    if (task !== undefined) {
      await this.submitter.cancel(task, o);
      return;
    }
    for (const hook of this.cancelHooks) if (await hook(sequence, o)) return;
  }

  /** The program is ending: what waits will wait until it has. */
  abandon(): void {
    this.abandoned = true;
  }

  /** The cluster is lost: everything that waits, and all that comes, fails with this error. */
  fail(error: StingrayError): void {
    if (this.failure !== undefined) return;
    this.failure = error;
    if (this.abandoned) return;
    this.submitter.stop(error);
    for (const hook of this.stopHooks) hook(error);
  }

  /** Whether anything that was begun has not ended: a task, a call, a request, a wait. */
  get busy(): boolean {
    return this.calls.size > 0 || this.waits > 0 || this.transport.waiting > 0 || this.table.waits;
  }

  /** Counts a wait for something that is none of these, for {@link busy}. */
  async during<T>(wait: Promise<T>): Promise<T> {
    this.waits++;
    try {
      return await wait;
    } finally {
      this.waits--;
    }
  }

  get failed(): boolean {
    return this.failure !== undefined;
  }

  /** Ends what waits with NotInitializedError, gives everything back, and takes the runtime out of use. */
  stop(): void {
    if (processState.runtime === this) processState.runtime = undefined;
    const error = new NotInitializedError(
      "shutdown() has ended this, or the cluster that it belongs to: wait for what is needed before, or call `await init()` and make it again",
    );
    this.home.stop();
    this.fail(error);
    this.flushFrees();
    this.table.stop();
    this.storage.close();
    this.remoteStore.close();
    this.store?.close();
  }
}

let registered = false;

/** How references come back inside values. */
function registerReferences(): void {
  if (registered) return;
  registered = true;
  registerWireType(REF_TAG, (data, context) => {
    const [id, node] = Array.isArray(data) ? (data as unknown[]) : [];
    if (!isObjectId(id)) throw new ProtocolError("malformed reference inside a value");
    const given = context as DecodeContext | undefined;
    const table = given?.table ?? processState.runtime?.table;
    if (table === undefined)
      throw new NotInitializedError(
        "a reference can only be read in a process that is part of a cluster: call `await init()` first",
      );
    const entry = table.adopt(id, isNodeId(node) ? node : undefined);
    given?.revived.push(entry);
    return table.handle(entry);
  });
}
