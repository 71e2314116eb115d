/** What the actors on this node save, and what they find when they are made again. */
import {
  ActorStates,
  type SavedState,
  type StateRow,
  type StateSave,
  type StateWriter,
  type Table,
} from "@stingray/gcs-kv";
import {
  StaleEpochError,
  StingrayError,
  keepsState,
  type ActorSpec,
  type ProcessId,
} from "@stingray/protocol";
import type { ActorEntry } from "./actor-book.js";
import { describe } from "./actor-directory.js";
import type { Incarnation } from "./actor-host.js";

export interface ActorStateHooks {
  /** Opens the table on first use. */
  table(): Promise<Table<StateRow>>;
  /** The incarnation of an actor on this node. */
  find(actor: string): Incarnation | undefined;
  /** The actor's row as the broker has it now. */
  fetch(actor: string): Promise<ActorEntry | undefined>;
  failed(what: string, error: unknown): void;
}

export interface SaveAsk extends StateSave {
  actor: string;
  epoch: number;
}

/** Between tries while the broker is away, in milliseconds. */
const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 2_000;

/** The saves of one incarnation: one is written at a time, those that wait become one. */
interface Saver {
  readonly writer: StateWriter;
  /** Nothing of the actor was ever saved. */
  fresh: boolean;
  waiting: Waiting | undefined;
  busy: boolean;
}
interface Waiting {
  readonly save: StateSave;
  readonly done: (() => void)[];
  readonly failed: ((error: unknown) => void)[];
}

export class SavedStates {
  /** They go with their incarnations. */
  private readonly savers = new WeakMap<Incarnation, Saver>();
  private opened: Promise<ActorStates> | undefined;

  constructor(private readonly hooks: ActorStateHooks) {}

  /**
   * Before the constructor runs: no earlier incarnation can save anything from here on.
   * @returns what was saved
   * @throws StaleEpochError where there is a later incarnation; what reading throws, but for a broker that is away
   */
  async begin(inc: Incarnation): Promise<SavedState> {
    const { spec, epoch, fresh } = inc;
    if (!keepsState(spec)) return {};
    const states = await this.untilStored(inc, "open the table of saved states", () => this.states());
    if (fresh) {
      this.keep(inc, states.first(spec.actor, spec.job, epoch));
      return {};
    }
    const { writer, ...saved } = await this.untilStored(
      inc,
      `take over the saved state of ${describe(spec)}`,
      () => states.take(spec.actor, spec.job, epoch),
    );
    this.keep(inc, writer);
    // Nothing at all says that it is the first; this, that an earlier one has saved nothing.
    if (spec.durable === true) saved.mailbox ??= new Uint8Array(0);
    return saved;
  }

  /**
   * Stores what an incarnation on this node saves; resolves once it is stored.
   * @throws StaleEpochError; InvalidArgumentError where it is too large
   */
  async save(worker: ProcessId, { actor, epoch, ...save }: SaveAsk): Promise<void> {
    const inc = this.hooks.find(actor);
    if (inc?.epoch !== epoch || inc.worker !== worker || inc.state === "over") throw replaced(actor, epoch);
    const saver = this.savers.get(inc);
    if (saver === undefined) throw replaced(actor, epoch);
    const given = present(save);
    return new Promise<void>((resolve, reject) => {
      const { waiting } = saver;
      if (waiting === undefined) saver.waiting = { save: given, done: [resolve], failed: [reject] };
      else {
        Object.assign(waiting.save, given); // the newest of each is what counts
        waiting.done.push(resolve);
        waiting.failed.push(reject);
      }
      if (!saver.busy) void this.write(inc, saver);
    });
  }

  /** The actor has ended for good: nothing of it stays. */
  async drop(spec: ActorSpec): Promise<void> {
    if (keepsState(spec)) await (await this.states()).drop(spec.actor);
  }

  private keep(inc: Incarnation, writer: StateWriter): void {
    this.savers.set(inc, { writer, fresh: inc.fresh, waiting: undefined, busy: false });
  }

  private async write(inc: Incarnation, saver: Saver): Promise<void> {
    saver.busy = true;
    for (let next = saver.waiting; next !== undefined; next = saver.waiting) {
      saver.waiting = undefined;
      try {
        const { save } = next;
        await this.untilStored(inc, `save the state of ${describe(inc.spec)}`, () => saver.writer.save(save));
        if (saver.fresh) await this.checkFirst(inc);
        saver.fresh = false;
        for (const done of next.done) done();
      } catch (error) {
        for (const failed of next.failed) failed(error);
      }
    }
    saver.busy = false;
  }

  /** The first save makes the row, also where the actor was ended in this moment and its rows were removed. */
  private async checkFirst(inc: Incarnation): Promise<void> {
    const row = (
      await this.untilStored(inc, `look at ${describe(inc.spec)}`, () => this.hooks.fetch(inc.spec.actor))
    )?.value;
    if (row !== undefined && row.state !== "DEAD") return;
    await this.drop(inc.spec);
    throw replaced(inc.spec.actor, inc.epoch);
  }

  /** Tries until the broker is back, as long as the incarnation is there. */
  private async untilStored<R>(inc: Incarnation, what: string, attempt: () => Promise<R>): Promise<R> {
    for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
      try {
        return await attempt();
      } catch (error) {
        if (!(error instanceof StingrayError) || !error.retryable || isOver(inc)) throw error;
        this.hooks.failed(`${what} (it is tried again)`, error);
        await new Promise((later) => setTimeout(later, pause).unref());
      }
    }
  }

  private states(): Promise<ActorStates> {
    if (this.opened === undefined) {
      this.opened = this.hooks.table().then((table) => new ActorStates(table));
      this.opened.catch(() => (this.opened = undefined));
    }
    return this.opened;
  }
}

/** Asked after an await: the state may have changed meanwhile. */
const isOver = (inc: Incarnation): boolean => inc.state === "over";

/** What is absent must not overwrite what waits. */
function present({ state, mailbox }: StateSave): StateSave {
  const given: StateSave = {};
  if (state !== undefined) given.state = state;
  if (mailbox !== undefined) given.mailbox = mailbox;
  return given;
}

function replaced(actor: string, epoch: number): StaleEpochError {
  return new StaleEpochError(
    `incarnation ${epoch} of actor ${actor} can't save anything any more: it is not the one that lives here`,
    { detail: { actor, epoch, newest: null } },
  );
}
