/** What a process can ask about actors: create, find, watch, end. All state is in the tables; this only writes it. */
import {
  ActorDiedError,
  InvalidArgumentError,
  NameTakenError,
  OUT_OF_SCOPE,
  encodeError,
  isDriverId,
  type ActorSpec,
  type ProcessId,
  type StingrayError,
  type WireError,
} from "@stingray/protocol";
import { Gate } from "@stingray/task/internal";
import type { ActorBook, ActorEntry } from "./actor-book.js";
import type { ActorNames } from "./actor-names.js";

export interface DirectoryHooks {
  /** This process's own id: the agent that finds a place for what is created here. */
  readonly agent: string;
  /** Whether the job still runs. */
  jobRuns(job: string): Promise<boolean>;
  /** Find a place for this claim, in the background. */
  place(entry: ActorEntry): void;
  /** Kill the process of this incarnation, wherever it is; it may come back. */
  killProcess(entry: ActorEntry, reason: string): Promise<void>;
  /** It is DEAD: nothing of it is kept but its row. */
  ended(spec: ActorSpec): Promise<void>;
  /** How actors are made that live with others in one process of this node. */
  readonly shared: SharedMaker;
  failed(what: string, error: unknown): void;
}

export interface SharedMaker {
  /** Whether this node is the place for it. */
  isPlaceFor(spec: ActorSpec): boolean;
  /** See {@link SharedActors.create}. */
  create(
    spec: ActorSpec,
    claimName: (entry: ActorEntry) => Promise<boolean>,
  ): Promise<{ started: Promise<void> } | undefined | "later">;
}

export interface Created {
  existing?: ActorSpec;
  /** It lives with others: resolves when its constructor has ended, one way or the other. */
  started?: Promise<void>;
}

/** Actors that are ended at the same time for one reason. */
const ENDINGS_AT_ONCE = 128;

export class ActorDirectory {
  private readonly endings = new Gate(ENDINGS_AT_ONCE);

  constructor(
    private readonly book: ActorBook,
    private readonly names: ActorNames,
    private readonly hooks: DirectoryHooks,
  ) {}

  /**
   * Claims the actor and its name. Asking again for the same actor changes nothing.
   * @returns with `getIfExists`, the actor that has the name already
   * @throws NameTakenError naming the holder; InvalidArgumentError where the job is over
   */
  async create(spec: ActorSpec, getIfExists: boolean): Promise<Created> {
    if (getIfExists && spec.name === undefined) {
      throw new InvalidArgumentError(
        "getIfExists needs a name: give the actor one, or leave getIfExists out",
      );
    }
    if (!(await this.hooks.jobRuns(spec.job))) {
      throw new InvalidArgumentError(
        `actor ${spec.actor} can't be created: its job ${spec.job} is over, was never started here, or went with the tables of a ` +
          `broker that keeps them in memory; call init() again`,
      );
    }
    if (spec.name !== undefined) {
      const holder = await this.names.holder(spec.namespace, spec.name);
      if (holder !== undefined && holder.actor !== spec.actor) return taken(spec, holder, getIfExists);
    }
    if (spec.shared === true && this.hooks.shared.isPlaceFor(spec)) {
      const made = await this.createShared(spec, getIfExists);
      if (made !== undefined) return made;
    }
    const entry = await this.claim(spec).catch((error: unknown) => {
      this.giveUp(spec, error);
      throw error;
    });
    if (entry === undefined) return {};
    if ("holder" in entry) return taken(spec, entry.holder, getIfExists);
    this.hooks.place(entry);
    return {};
  }

  /** Undefined: its process takes a while to be up. */
  private async createShared(spec: ActorSpec, getIfExists: boolean): Promise<Created | undefined> {
    let holder: ActorSpec | undefined;
    const claimName = async (entry: ActorEntry): Promise<boolean> => {
      if (spec.name === undefined) return true;
      const owner = await this.names.claim(spec, spec.name);
      if (owner.actor === spec.actor) return true;
      holder = owner;
      await this.book.remove(entry);
      return false;
    };
    const made = await this.hooks.shared.create(spec, claimName).catch((error: unknown) => {
      this.giveUp(spec, error);
      throw error;
    });
    if (made === "later") return undefined;
    if (made !== undefined) return { started: made.started };
    return holder === undefined ? {} : taken(spec, holder, getIfExists);
  }

  /** The row, or the actor that has its name; undefined where there is such a row already. */
  private async claim(spec: ActorSpec): Promise<ActorEntry | { holder: ActorSpec } | undefined> {
    const { agent } = this.hooks;
    const entry = await this.book.create({ spec, state: "PENDING", epoch: 0, agent, restarts: 0 });
    if (entry === undefined || spec.name === undefined) return entry;
    const holder = await this.names.claim(spec, spec.name);
    if (holder.actor === spec.actor) return entry;
    await this.book.remove(entry);
    return { holder };
  }

  /** Its creator was told that it failed: what was written of it, if anything was, must not stay. */
  private giveUp(spec: ActorSpec, error: unknown): void {
    this.end(spec.actor, encodeError(error)).catch((thrown: unknown) =>
      this.hooks.failed(`end ${describe(spec)}`, thrown),
    );
  }

  /** Ends an actor wherever it is; with `restart` only its process. Unknown and dead actors are no error. */
  async kill(actor: string, restart: boolean, reason: string): Promise<void> {
    const entry = this.book.get(actor) ?? (await this.book.fetch(actor));
    if (entry === undefined || entry.value.state === "DEAD") return;
    if (restart) {
      await this.hooks.killProcess(entry, reason);
      return;
    }
    const how =
      reason === OUT_OF_SCOPE
        ? 'ended with its last handle; keep one, or make it with { lifetime: "detached" }'
        : `was killed: ${reason}`;
    await this.end(actor, new ActorDiedError(`${describe(entry.value.spec)} ${how}`, { detail: { reason } }));
  }

  /**
   * The actor ends for good. Its host sees the row and ends the process.
   * @param epoch only where this incarnation is the one that is alive
   */
  async end(actor: string, cause: StingrayError | WireError, epoch?: number): Promise<void> {
    const wire = cause instanceof Error ? encodeError(cause) : cause;
    const of = epoch === undefined ? {} : { epoch };
    const entry = await this.book.apply(actor, { kind: "ended", cause: wire, at: Date.now(), ...of });
    if (entry !== undefined) await this.hooks.ended(entry.value.spec);
  }

  /** Ends, in the background, what a process has created and is not detached. */
  creatorGone(process: ProcessId, reason: string): void {
    for (const { value } of this.book.entries()) {
      if (value.state === "DEAD" || value.spec.detached || value.spec.creator !== process) continue;
      // What a driver has made of light ones goes with its job at once: rows, names and processes.
      if (value.spec.shared === true && isDriverId(process)) continue;
      const cause = new ActorDiedError(
        `${describe(value.spec)} ended with the process that created it, ${value.spec.creator}: ${reason}. ` +
          `Make it detached if it is to live longer`,
      );
      const { spec } = value;
      this.endings
        .through(() => this.end(spec.actor, cause))
        .catch((error: unknown) => this.hooks.failed(`end ${describe(spec)}`, error));
    }
  }
}

/** `actor Counter "c" (a123…)`, for messages. */
export function describe(spec: ActorSpec): string {
  return `actor ${spec.className}${spec.name === undefined ? "" : ` "${spec.name}"`} (${spec.actor})`;
}

function taken(spec: ActorSpec, holder: ActorSpec, getIfExists: boolean): { existing: ActorSpec } {
  if (getIfExists) return { existing: holder };
  throw new NameTakenError(
    `the name "${spec.name}" in namespace "${spec.namespace}" belongs to ${describe(holder)} of job ${holder.job}: ` +
      `use another name, kill it first, or create with getIfExists to share it`,
    { detail: { actor: holder.actor, job: holder.job } },
  );
}
