/**
 * Saves an actor's state and how far it is with its mailbox, together. Snapshots are taken between calls; while one is
 * being stored calls go on, and what they end with is released by the save after it.
 */
import type { ActorSave } from "../state-saver.js";
import type { ProgressRow } from "./progress.js";
import type { OpenAnswer } from "./unheard.js";

/** Calls that may end ahead of the save that covers them: what is run again at most after a crash. */
export const MOST_AHEAD = 256;

export interface SaveHooks {
  /** Whether the class takes snapshots. */
  readonly takesSnapshots: boolean;
  /** Too much of what has ended was not heard: no more is to begin. */
  full(): boolean;
  /** Calls that run now. */
  running(): number;
  /** Whether methods of the class may wait for something: what ended before one is saved ahead of it. */
  mayWait(): boolean;
  /** `snapshot()` is called before it returns. */
  snapshot(): Promise<Uint8Array | undefined>;
  /** How far the mailbox is, at this moment. */
  mailbox(): { row: ProgressRow; position: number };
  /** It, with the calls under suspicion as they are when it is stored. */
  encode(row: ProgressRow): Uint8Array;
  store(save: ActorSave): Promise<void>;
  /** A save waits until no call runs, or does so no more. */
  waits(now: boolean): void;
  /** What must be stored elsewhere before. */
  before(): Promise<void>;
  /** A save was stored: up to `position` all is done, and these may be told. */
  saved(position: number, answers: readonly OpenAnswer[]): void;
  /** Calls may begin that could not. */
  goOn(): void;
  /** Neither snapshot nor save can be made. The incarnation is of no use any more. */
  failed(error: unknown): void;
}

interface Capture {
  readonly row: ProgressRow;
  readonly state: Uint8Array | undefined;
  readonly position: number;
  readonly answers: readonly OpenAnswer[];
  /** Calls that ended since the one before. */
  readonly ended: number;
  readonly moment: number;
}

export class KeptSaves {
  /** Of calls that have ended since the last capture. */
  private answers: OpenAnswer[] = [];
  private ended = 0;
  private dirty = false;
  private due = false;
  private capturing = false;
  /** The newest that is not on its way. */
  private captured: Capture | undefined;
  private storing = false;
  /** What is stored. */
  private storedRow: ProgressRow;
  /** Those who wait until the calls under suspicion are. */
  private markWaiters: ((stored: boolean) => void)[] = [];
  /** Calls that have ended and are not in a save that was stored. */
  private ahead = 0;
  /** No call that runs can go on before others do. */
  private opened = false;
  private waiting = false;
  /** Counts captures: what ends now is in this one. */
  moment = 1;
  /** All up to this capture are stored. */
  stored = 0;
  private over = false;
  private quietWaiters: (() => void)[] = [];
  private idleWaiters: (() => void)[] = [];

  constructor(private readonly hooks: SaveHooks) {
    this.storedRow = hooks.mailbox().row;
  }

  /** Whether a call may begin now. */
  get open(): boolean {
    if (this.over) return false;
    if (this.opened) return true;
    const { hooks } = this;
    if (this.ahead >= MOST_AHEAD || hooks.full()) return false;
    return !hooks.takesSnapshots || !(this.capturing || (this.dirty && hooks.mayWait()));
  }

  /** A call has ended, and these are to be told. */
  add(answers: readonly OpenAnswer[]): void {
    this.answers.push(...answers);
    this.opened = false;
    this.ended++;
    this.ahead++;
    this.touch();
  }

  /** There is something to save. What else comes in this turn goes along. */
  touch(): void {
    this.dirty = true;
    if (this.due || this.over) return;
    this.due = true;
    setImmediate(() => {
      this.due = false;
      void this.capture();
    });
  }

  /** What has ended and waits for calls that run, so that it can be saved. */
  get held(): readonly OpenAnswer[] {
    return this.waiting ? this.answers : [];
  }

  /** Whether calls that run keep others from beginning. */
  get holdsUp(): boolean {
    return this.waiting && !this.open;
  }

  /**
   * Calls that run wait for what the save holds up: the next may begin.
   * @returns what may be told ahead of the save
   */
  release(): readonly OpenAnswer[] {
    if (!this.waiting) return [];
    this.opened = true;
    return this.answers.splice(0);
  }

  /** No call runs at this moment. */
  quiet(): void {
    for (const waiter of this.quietWaiters.splice(0)) waiter();
    if (this.dirty && this.hooks.takesSnapshots && this.hooks.mayWait()) void this.capture();
  }

  /** Nothing is saved any more. */
  stop(): void {
    this.over = true;
    this.marked(false);
    this.checkIdle();
  }

  /** Stores which calls are under suspicion, whatever runs. Resolves with whether they are stored; else never will be. */
  async mark(): Promise<boolean> {
    if (this.over) return false;
    const stored = new Promise<boolean>((resolve) => this.markWaiters.push(resolve));
    void this.store();
    return stored;
  }

  private marked(stored: boolean, waiters = this.markWaiters.splice(0)): void {
    for (const waiter of waiters) waiter(stored);
  }

  /** Resolves when all that has ended is stored, or never will be. */
  async finish(): Promise<void> {
    void this.capture();
    while (this.busy) await new Promise<void>((idle) => this.idleWaiters.push(idle));
  }

  private get busy(): boolean {
    return !this.over && (this.dirty || this.capturing || this.captured !== undefined || this.storing);
  }

  private checkIdle(): void {
    if (!this.busy) for (const waiter of this.idleWaiters.splice(0)) waiter();
  }

  private async capture(): Promise<void> {
    if (this.capturing || !this.dirty || this.over) return;
    this.capturing = true;
    const { hooks } = this;
    try {
      if (hooks.takesSnapshots && hooks.running() > 0) await this.whenQuiet();
      // From here to the call of snapshot() nothing else runs: all three are of the same moment.
      const { row, position } = hooks.mailbox();
      const snapshot = hooks.takesSnapshots ? hooks.snapshot() : undefined;
      const { answers, ended } = this;
      this.answers = [];
      this.ended = 0;
      this.dirty = this.opened = false;
      const moment = this.moment++;
      const state = await snapshot;
      const { captured } = this;
      this.captured = {
        row,
        state: state ?? captured?.state,
        position,
        answers: [...(captured?.answers ?? []), ...answers],
        ended: (captured?.ended ?? 0) + ended,
        moment,
      };
    } catch (error) {
      this.fail(error);
    }
    this.capturing = false;
    // Something ended meanwhile that did not have to begin, such as a call whose id is known.
    if (this.dirty) this.touch();
    hooks.goOn();
    void this.store();
  }

  private async whenQuiet(): Promise<void> {
    this.waiting = true;
    this.hooks.waits(true);
    while (this.hooks.running() > 0) await new Promise<void>((quiet) => this.quietWaiters.push(quiet));
    this.waiting = false;
    this.hooks.waits(false);
  }

  private async store(): Promise<void> {
    if (this.storing || this.over) return;
    this.storing = true;
    try {
      for (let next = this.captured; !this.isOver; next = this.captured) {
        if (next === undefined) {
          if (this.markWaiters.length === 0) break;
          // Apart from the state: what was stored with it, so that the two go together.
          await this.put(this.storedRow, undefined);
          continue;
        }
        this.captured = undefined;
        await this.hooks.before();
        await this.put(next.row, next.state);
        this.ahead -= next.ended;
        this.stored = next.moment;
        this.hooks.saved(next.position, next.answers);
        this.hooks.goOn();
      }
    } catch (error) {
      this.fail(error);
    }
    this.storing = false;
    this.checkIdle();
  }

  /** Asked after an await: it may have changed meanwhile. */
  private get isOver(): boolean {
    return this.over;
  }

  private async put(row: ProgressRow, state: Uint8Array | undefined): Promise<void> {
    const marks = this.markWaiters.splice(0);
    const mailbox = this.hooks.encode(row);
    try {
      await this.hooks.store(state === undefined ? { mailbox } : { mailbox, state });
      this.storedRow = row;
      this.marked(true, marks);
    } catch (error) {
      this.marked(false, marks);
      throw error;
    }
  }

  private fail(error: unknown): void {
    if (this.over) return;
    this.stop();
    this.hooks.failed(error);
  }
}
