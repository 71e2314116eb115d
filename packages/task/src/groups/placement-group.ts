/** The handle of a placement group. */
import { WIRE, registerWireType } from "@stingray/objectstore";
import {
  Agent,
  ProtocolError,
  TimeoutError,
  UnschedulableError,
  checkOptions,
  isGroupId,
  timerMs,
  type GroupId,
  type GroupStrategy,
  type GroupView,
  type NodeId,
  type PlacementGroupHandle,
  type Resources,
} from "@stingray/protocol";
import { runtimeFor } from "../process-state.js";
import { makingRoom } from "../ready.js";
import type { Runtime } from "../runtime.js";
import { WAIT_RULES, type WaitOptions } from "../wait-options.js";
import { orAborted, retried } from "./waits.js";

const GROUP_TAG = "group";
/** Who waits longer than this is told why, once. Milliseconds. */
const WARN_MS = 3_000;
/** An agent answers after this at the latest, changed or not. Milliseconds. */
const LOOK_MS = 10_000;
/** A group of another process may be used before its row has come to us. Milliseconds. */
const UNKNOWN_MS = 2_000;
const AGAIN_MS = 100;

/**
 * A handle of a placement group: a value that may be passed to tasks and actors. Its resources are reserved as long as
 * it lives, whether handles of it are held or not: until `remove()`, or the end of its job.
 */
export class PlacementGroup implements PlacementGroupHandle, AsyncDisposable {
  readonly id: GroupId;
  /** What each bundle reserves. */
  readonly bundles: readonly Resources[];
  readonly strategy: GroupStrategy;
  readonly name: string | undefined;
  /** Settles when it is written down; at once where somebody else has made it. */
  private readonly claimed: Promise<void>;

  /** @internal Made by `placementGroup()` and its kin. */
  constructor(
    spec: { id: GroupId; bundles: readonly Resources[]; strategy: GroupStrategy; name: string | undefined },
    claimed: Promise<void> = Promise.resolve(),
  ) {
    this.id = spec.id;
    this.bundles = spec.bundles;
    this.strategy = spec.strategy;
    this.name = spec.name;
    this.claimed = claimed;
    Object.defineProperty(this, "claimed", { enumerable: false });
  }

  /**
   * Resolves when all bundles are reserved.
   * @throws TimeoutError with the reason; UnschedulableError where the group was removed; NameTakenError where it could
   * not be made; the signal's reason
   */
  async ready(options: WaitOptions = {}): Promise<void> {
    checkOptions("ready()", WAIT_RULES, options);
    const runtime = runtimeFor("PlacementGroup.ready()");
    await runtime.during(makingRoom(this.untilCreated(runtime, options)));
  }

  /**
   * Ends the group: its tasks fail, its actors die, its resources are free. A group that is gone is no error.
   * @throws ConnectionError where no agent can be reached
   */
  async remove(): Promise<void> {
    const runtime = runtimeFor("PlacementGroup.remove()");
    await this.claimed.catch(() => undefined);
    await runtime.home.request(Agent.groupRemove, { group: this.id, reason: "remove() was called" });
  }

  /**
   * The node of each bundle, by index, as of now; undefined for one that has none.
   * @throws UnschedulableError where the group was removed
   */
  async nodes(): Promise<(NodeId | undefined)[]> {
    const runtime = runtimeFor("PlacementGroup.nodes()");
    await this.claimed;
    const view = await this.look(runtime, 0, 0, undefined);
    return view === undefined ? this.bundles.map(() => undefined) : nodesOf(view);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.remove();
  }

  [WIRE](): { tag: string; data: unknown } {
    return { tag: GROUP_TAG, data: [this.id, this.bundles, this.strategy, this.name ?? null] };
  }

  toString(): string {
    return `PlacementGroup(${this.name === undefined ? "" : `"${this.name}", `}${this.id})`;
  }

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return this.toString();
  }

  private async untilCreated(runtime: Runtime, options: WaitOptions): Promise<void> {
    const limit = timerMs(options.timeoutMs);
    const ended = new AbortController();
    let waitsFor = "it has not been written down yet";
    const late = (): TimeoutError =>
      new TimeoutError(`${this.toString()} was not ready within ${limit} ms: ${waitsFor}`);
    const onAbort = (): void => ended.abort(options.signal?.reason);
    // With 0 it is asked once.
    const timer = limit ? setTimeout(() => ended.abort(late()), limit) : undefined;
    const warnAt = performance.now() + WARN_MS;
    let warned = false;
    options.signal?.addEventListener("abort", onAbort, { once: true });
    if (options.signal?.aborted === true) onAbort();
    try {
      await orAborted(this.claimed, ended.signal);
      for (let after = 0; ;) {
        const waitMs = limit === 0 ? 0 : warned ? LOOK_MS : WARN_MS;
        const view = await orAborted(this.look(runtime, after, waitMs, ended.signal), ended.signal);
        if (view?.state === "CREATED") return;
        waitsFor = view?.cause?.message ?? "its bundles are being reserved";
        if (limit === 0) throw late();
        after = view?.revision ?? 0;
        if (!warned && performance.now() >= warnAt) {
          warned = true;
          runtime.warn(`${this.toString()} waits: ${waitsFor}`);
        }
      }
    } finally {
      clearTimeout(timer);
      options.signal?.removeEventListener("abort", onAbort);
      ended.abort();
    }
  }

  /** Its state once it is not that of revision `after`. Undefined while it is not written down. @throws UnschedulableError */
  private async look(
    runtime: Runtime,
    after: number,
    waitMs: number,
    signal: AbortSignal | undefined,
  ): Promise<GroupView | undefined> {
    const since = performance.now();
    for (;;) {
      const answer = await retried(runtime, signal, () =>
        runtime.home.request(
          Agent.groupState,
          { group: this.id, after, waitMs },
          { timeoutMs: waitMs + LOOK_MS, ...(signal === undefined ? {} : { signal }) },
        ),
      );
      const { view, coming } = answer;
      if (view?.state === "REMOVED") throw removed(this, view.cause?.message ?? "no reason was given");
      if (view !== undefined || coming) return view;
      if (performance.now() - since > UNKNOWN_MS) throw removed(this, "it is not known in this cluster");
      await new Promise((again) => setTimeout(again, AGAIN_MS));
    }
  }
}

function removed(group: PlacementGroup, why: string): UnschedulableError {
  return new UnschedulableError(`${group.toString()} was removed: ${why}; make a new one`, {
    detail: { group: group.id },
  });
}

/** The node of each bundle, by index. */
export const nodesOf = ({ nodes }: GroupView): (NodeId | undefined)[] =>
  nodes.map((node) => (node === "" ? undefined : (node as NodeId)));

/** How groups come back inside values. Called in every process that takes part. */
export function registerGroups(): void {
  registerWireType(GROUP_TAG, (data) => {
    const [id, bundles, strategy, name] = Array.isArray(data) ? (data as unknown[]) : [];
    if (!isGroupId(id) || !Array.isArray(bundles) || typeof strategy !== "string")
      throw new ProtocolError("malformed placement group inside a value");
    return new PlacementGroup({
      id,
      bundles: bundles as Resources[],
      strategy: strategy as GroupStrategy,
      name: typeof name === "string" ? name : undefined,
    });
  });
}
