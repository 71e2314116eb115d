/** What an activation saves of itself: snapshots of its instance, and what its mailbox keeps beside them. */
import { decode, encode } from "@stingray/objectstore";
import { Agent, InvalidArgumentError, toError, type ActorSpec } from "@stingray/protocol";
import {
  currentExecution,
  runIn,
  taskError,
  type DecodeContext,
  type Execution,
  type Runtime,
} from "@stingray/task/internal";
import { Latest } from "./latest.js";

/** Optional methods of an actor class, of use only together. */
interface Snapshots {
  snapshot?(): unknown;
  restore?(state: unknown): unknown;
}

/** What is stored together; what is absent stays as it was. */
export interface ActorSave {
  /** As {@link StateSaver.snapshot} gives it. */
  state?: Uint8Array | undefined;
  /** What the mailbox keeps. */
  mailbox?: Uint8Array | undefined;
}

export interface SavedActivation {
  readonly runtime: Runtime;
  readonly spec: ActorSpec;
  readonly epoch: number;
  /** Once its constructor has run. */
  instance(): object | undefined;
  /** For what nobody has called. */
  betweenCalls(): Execution;
}

/** A save that takes so long is worth a line. Milliseconds. */
const WARN_AFTER_MS = 5_000;

export class StateSaver {
  private taking: Promise<unknown> | undefined;
  private readonly stores: Latest<ActorSave>;

  constructor(private readonly of: SavedActivation) {
    this.stores = new Latest(
      (older, newer) => ({ state: newer.state ?? older.state, mailbox: newer.mailbox ?? older.mailbox }),
      (save) => this.send(save),
    );
  }

  /** Whether the class has both `snapshot` and `restore`. */
  get takesSnapshots(): boolean {
    return canBeSaved(this.of.instance());
  }

  /**
   * The state as it is now, encoded: `snapshot()` is called before this returns, unless another is on its way. Undefined
   * where the class takes none.
   * @throws TaskError with what `snapshot` threw; SerializationError with the path to what can't be saved
   */
  async snapshot(): Promise<Uint8Array | undefined> {
    if (!this.takesSnapshots) return undefined;
    while (this.taking !== undefined) await this.taking.catch(() => {});
    const taking = this.take();
    this.taking = taking;
    try {
      return await taking;
    } finally {
      this.taking = undefined;
    }
  }

  /**
   * Has the agent store it; resolves once it is stored. What is asked for while another save is on its way is stored
   * with the next one.
   * @throws StaleEpochError where this incarnation was replaced; InvalidArgumentError where it is too large
   */
  store(save: ActorSave): Promise<void> {
    return this.stores.put(save);
  }

  /** Takes a snapshot and stores it. Does nothing where the class takes none. @throws as both */
  async save(): Promise<void> {
    const state = await this.snapshot();
    if (state !== undefined) await this.store({ state });
  }

  /** `context().saveSnapshot()`. @throws InvalidArgumentError where it makes no sense */
  async saveNow(): Promise<void> {
    const { className, durable } = this.of.spec;
    if (durable === true)
      throw new InvalidArgumentError(
        `saveSnapshot(): the state of actor ${className} is saved together with its durable mailbox, after its calls; ` +
          `in the middle of a call half of it would be saved, so leave it out`,
      );
    if (this.of.instance() === undefined)
      throw new InvalidArgumentError(
        `saveSnapshot(): actor ${className} has not been made yet: call it in onActivate() or later, not in the constructor`,
      );
    if (!this.takesSnapshots)
      throw new InvalidArgumentError(
        `saveSnapshot(): class ${className} needs both snapshot() and restore(state)`,
      );
    await this.save();
  }

  private async take(): Promise<Uint8Array> {
    const { spec } = this.of;
    const instance = this.of.instance() as Snapshots;
    let state: unknown;
    try {
      state = await runIn(currentExecution() ?? this.of.betweenCalls(), () => instance.snapshot?.());
    } catch (thrown) {
      throw taskError(`${spec.className} snapshot`, toError(thrown));
    }
    return encode(state, { path: "state" }).bytes();
  }

  private async send({ state, mailbox }: ActorSave): Promise<void> {
    const { runtime, spec, epoch } = this.of;
    const late = setTimeout(() => {
      runtime.warn(
        `the state of actor ${spec.className} (${spec.actor}) is not stored after ${WARN_AFTER_MS} ms: ` +
          `the broker may be away; its agent goes on trying`,
      );
    }, WARN_AFTER_MS).unref();
    try {
      const ask = { actor: spec.actor, epoch, state, mailbox };
      // The agent tries until the broker is back; a worker without its agent ends.
      await runtime.home.request(Agent.actorSave, ask, { timeoutMs: Number.POSITIVE_INFINITY });
    } finally {
      clearTimeout(late);
    }
  }
}

/** Puts a fresh instance into the state that was saved. For a class that can't any more, what was saved is not used. */
export async function restoreState(runtime: Runtime, instance: object, state: Uint8Array): Promise<void> {
  if (!canBeSaved(instance)) return;
  const { table } = runtime;
  const context: DecodeContext = { table, revived: [] };
  const value = decode(state, { views: false, context });
  // References that came up: their owners are told that they are held here.
  if (context.revived.length > 0) table.confirm(context.revived).catch(() => {});
  await (instance as Snapshots).restore?.(value);
}

function canBeSaved(instance: object | undefined): boolean {
  const { snapshot, restore } = (instance ?? {}) as { snapshot?: unknown; restore?: unknown };
  return typeof snapshot === "function" && typeof restore === "function";
}
