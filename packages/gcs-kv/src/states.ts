/**
 * What actors save, in table `states`: a row for each, written by one incarnation at a time. Who takes the row over with
 * a higher epoch keeps all earlier ones from writing, for good.
 */
import { InvalidArgumentError, MAX_STATE, ObjectLostError, StaleEpochError } from "@stingray/protocol";
import { statePartKey } from "./keys.js";
import type { StateHead, StateRow } from "./rows.js";
import type { Row, Table, Written } from "./table.js";

/** States up to this size lie in the row itself. Bytes. */
const INLINE = 256 * 1024;
/** Bytes in each row of a larger one. */
const PART = 512 * 1024;
/** The most that a mailbox may put beside it. Bytes. */
const MAX_MAILBOX = 512 * 1024;
/** Rows of parts that are read or written at the same time. */
const AT_ONCE = 8;

/** What an earlier incarnation has left. */
export interface SavedState {
  /** Encoded; absent where none was saved. */
  state?: Uint8Array;
  /** Of the durable mailbox. */
  mailbox?: Uint8Array;
  /** An incarnation has lived since that was saved, or may have: it is not the end of the last one. */
  taken?: boolean;
}
/** What is to be stored; what is absent stays as it is. */
export interface StateSave {
  state?: Uint8Array | undefined;
  mailbox?: Uint8Array | undefined;
}

/** Writes the row of one incarnation. One save at a time. */
export interface StateWriter {
  /** @throws StaleEpochError; InvalidArgumentError where it is too large; ConnectionError */
  save(save: StateSave): Promise<void>;
}

type Head = { readonly value: StateHead; readonly revision: number };

export class ActorStates {
  constructor(private readonly table: Table<StateRow>) {}

  /**
   * What is saved of the actor, for its incarnation `epoch`: earlier ones can't write any more.
   * @throws StaleEpochError where a later one has it; ObjectLostError where parts are gone; ConnectionError
   */
  async take(actor: string, job: string, epoch: number): Promise<SavedState & { writer: StateWriter }> {
    const head = await this.own(actor, job, epoch);
    const { parts, parted, mailbox } = head.value;
    const state = parts === undefined ? head.value.state : await this.join(actor, parts);
    if (parted === true) {
      const current = parts === undefined ? undefined : `${actor}.${parts.set}.`;
      await this.table.removeWhere(actor, ({ key }) => current === undefined || !key.startsWith(current));
    }
    const saved: SavedState & { writer: StateWriter } = { writer: this.writer(actor, job, epoch, head) };
    if (state !== undefined) saved.state = state;
    if (mailbox !== undefined) saved.mailbox = mailbox;
    if (head.taken) saved.taken = true;
    return saved;
  }

  /** For the first incarnation, which finds nothing and so writes nothing before its first save. */
  first(actor: string, job: string, epoch: number): StateWriter {
    return this.writer(actor, job, epoch, undefined);
  }

  /** Removes all that is saved. Gives the number of rows. */
  async drop(actor: string): Promise<number> {
    const head = await this.head(actor);
    if (head === undefined) return 0;
    // The parts first: as long as the head is there, whoever comes next knows of them.
    const parts = head.value.parted === true ? await this.table.removeWhere(actor, () => true) : 0;
    await this.table.delete(actor);
    return parts + 1;
  }

  /** The head, once it belongs to `epoch`. */
  private async own(actor: string, job: string, epoch: number): Promise<Head & { taken: boolean }> {
    let head = await this.head(actor);
    for (;;) {
      if (head !== undefined && head.value.epoch > epoch) throw stale(actor, epoch, head.value.epoch);
      const taken = head?.value.taken === true;
      if (head?.value.epoch === epoch) return { ...head, taken };
      const value: StateHead =
        head === undefined ? { job, epoch, version: 0 } : { ...head.value, epoch, taken: true };
      const written = await this.write(actor, value, head?.revision);
      if (written.ok) return { value, revision: written.revision, taken };
      head = headIn(written.current);
    }
  }

  private writer(actor: string, job: string, epoch: number, found: Head | undefined): StateWriter {
    let head = found;
    const put = async (wanted: StateHead): Promise<void> => {
      for (let value = wanted; ;) {
        const written = await this.write(actor, value, head?.revision);
        if (written.ok) {
          head = { value, revision: written.revision };
          return;
        }
        const current = headIn(written.current);
        if (current === undefined || current.value.epoch > epoch)
          throw stale(actor, epoch, current?.value.epoch);
        // A write of ours that was given up for lost and was done after all, or of an incarnation that never lived.
        head = current;
        if (current.value.parted === true) value = { ...value, parted: true };
      }
    };
    return {
      save: async ({ state, mailbox }) => {
        checkSizes(actor, state, mailbox);
        const before = head?.value ?? { job, epoch, version: 0 };
        const next: StateHead = { ...before, version: before.version + 1 };
        if (mailbox !== undefined) {
          next.mailbox = mailbox;
          delete next.taken;
        }
        if (state !== undefined) {
          delete next.state;
          delete next.parts;
          if (state.byteLength <= INLINE) next.state = state;
          else {
            if (before.parted !== true) await put({ ...before, parted: true });
            next.parted = true;
            next.parts = await this.split(actor, `${epoch}-${next.version}`, state);
          }
        }
        await put(next);
        const { parts } = before;
        if (state !== undefined && parts !== undefined) await this.removeParts(actor, parts);
      },
    };
  }

  private async head(actor: string): Promise<Head | undefined> {
    return headIn(await this.table.get(actor));
  }

  private write(actor: string, value: StateHead, revision: number | undefined): Promise<Written<StateRow>> {
    return revision === undefined
      ? this.table.create(actor, value)
      : this.table.update(actor, value, revision);
  }

  private async split(
    actor: string,
    set: string,
    state: Uint8Array,
  ): Promise<{ set: string; count: number }> {
    const count = Math.ceil(state.byteLength / PART);
    await each(count, (i) =>
      this.table.put(statePartKey(actor, set, i), { part: state.subarray(i * PART, (i + 1) * PART) }),
    );
    return { set, count };
  }

  private async join(actor: string, { set, count }: { set: string; count: number }): Promise<Uint8Array> {
    const parts = await each(count, async (i) => {
      const row = await this.table.get(statePartKey(actor, set, i));
      if (row !== undefined && "part" in row.value) return row.value.part;
      throw new ObjectLostError(
        `part ${i} of ${count} of the saved state of actor ${actor} is gone from table states: it can't be restored`,
        { detail: { actor } },
      );
    });
    return Buffer.concat(parts);
  }

  private async removeParts(actor: string, { set, count }: { set: string; count: number }): Promise<void> {
    // What is left behind goes with the actor, or when the next incarnation takes over.
    await each(count, (i) => this.table.delete(statePartKey(actor, set, i))).catch(() => {});
  }
}

function headIn(row: Row<StateRow> | undefined): Head | undefined {
  return row === undefined || "part" in row.value ? undefined : { value: row.value, revision: row.revision };
}

function checkSizes(actor: string, state: Uint8Array | undefined, mailbox: Uint8Array | undefined): void {
  if (state !== undefined && state.byteLength > MAX_STATE)
    throw new InvalidArgumentError(
      `the state of actor ${actor} has ${state.byteLength} bytes, at most ${MAX_STATE} can be saved: ` +
        `keep large values elsewhere, and what says where in the snapshot`,
      { detail: { size: state.byteLength, limit: MAX_STATE } },
    );
  if (mailbox !== undefined && mailbox.byteLength > MAX_MAILBOX)
    throw new InvalidArgumentError(
      `what the mailbox of actor ${actor} saves has ${mailbox.byteLength} bytes, at most ${MAX_MAILBOX} can be kept`,
      { detail: { size: mailbox.byteLength, limit: MAX_MAILBOX } },
    );
}

function stale(actor: string, epoch: number, newest: number | undefined): StaleEpochError {
  return new StaleEpochError(
    newest === undefined
      ? `incarnation ${epoch} of actor ${actor} can't save anything any more: what was saved is gone, the actor has ended`
      : `incarnation ${epoch} of actor ${actor} can't save anything any more: incarnation ${newest} has taken its place`,
    { detail: { actor, epoch, newest: newest ?? null } },
  );
}

/** `work` for 0 … count-1, some at a time, in order. */
async function each<T>(count: number, work: (i: number) => Promise<T>): Promise<T[]> {
  const done: T[] = [];
  for (let at = 0; at < count; at += AT_ONCE) {
    const length = Math.min(AT_ONCE, count - at);
    done.push(...(await Promise.all(Array.from({ length }, (_, i) => work(at + i)))));
  }
  return done;
}
