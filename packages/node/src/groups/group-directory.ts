/** What a process can ask about placement groups: make, find, await, remove. All state is in the tables. */
import type { GroupRow } from "@stingray/gcs-kv";
import {
  ConnectionError,
  GroupNotFoundError,
  InvalidArgumentError,
  StingrayError,
  TimeoutError,
  encodeError,
  toError,
  type GroupSpec,
  type GroupView,
} from "@stingray/protocol";
import type { GroupBook, GroupEntry } from "./group-book.js";
import { describeGroup, groupViewOf } from "./group-machine.js";
import type { GroupNames } from "./group-names.js";

export interface GroupDirectoryHooks {
  /** This process's own id: the agent that finds nodes for what is made here. */
  readonly agent: string;
  /** A group that can't be written down for so long is refused. Milliseconds. */
  readonly claimMs: number;
  /** Whether the job still runs. */
  jobRuns(job: string): Promise<boolean>;
  /** Find nodes for this group, in the background. */
  plan(entry: GroupEntry): void;
  failed(what: string, error: unknown): void;
}

/** Between tries to write a group down while the broker does not answer, in milliseconds. */
const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 2_000;

export class GroupDirectory {
  /** Groups that are being written down. */
  private readonly creating = new Map<string, Promise<void>>();

  constructor(
    private readonly book: GroupBook,
    private readonly names: GroupNames,
    private readonly hooks: GroupDirectoryHooks,
  ) {}

  /**
   * Claims the group and its name, and tries again for a while where the broker does not answer. Asking again for the
   * same group changes nothing.
   * @throws NameTakenError naming the holder; InvalidArgumentError where the job is over; TimeoutError where it could not
   * be written down
   */
  create(spec: GroupSpec): Promise<void> {
    const begun = this.creating.get(spec.group);
    if (begun !== undefined) return begun;
    const made = this.make(spec).finally(() => this.creating.delete(spec.group));
    this.creating.set(spec.group, made);
    return made;
  }

  private async make(spec: GroupSpec): Promise<void> {
    this.book.expect(spec.group);
    try {
      await this.claimInTime(spec);
    } catch (thrown) {
      this.book.expect(spec.group, toError(thrown).message);
      // Its creator was told that it failed: what was written of it, if anything was, must not stay.
      this.remove(spec.group, `it could not be made: ${toError(thrown).message}`).catch((error: unknown) =>
        this.hooks.failed(`remove ${describeGroup(spec)}`, error),
      );
      throw thrown;
    }
  }

  private async claimInTime(spec: GroupSpec): Promise<void> {
    const { claimMs } = this.hooks;
    const giveUpAt = performance.now() + claimMs;
    for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
      try {
        await this.claim(spec);
        return;
      } catch (thrown) {
        if (!(thrown instanceof ConnectionError)) throw thrown;
        if (performance.now() + pause > giveUpAt) {
          throw new TimeoutError(
            `${describeGroup(spec)} could not be written down within ${claimMs} ms: ${thrown.message}; make it again`,
            { cause: thrown },
          );
        }
      }
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }

  private async claim(spec: GroupSpec): Promise<void> {
    const { hooks } = this;
    if (!(await hooks.jobRuns(spec.job))) {
      throw new InvalidArgumentError(
        `${describeGroup(spec)} can't be made: its job ${spec.job} is over, was never started here, or went with the tables of a ` +
          `broker that keeps them in memory; call init() again`,
      );
    }
    const nodes = spec.bundles.map(() => "");
    const row: GroupRow = { ...spec, state: "PENDING", nodes, agent: hooks.agent };
    const entry = (await this.book.create(row)) ?? (await this.book.fetch(spec.group));
    // Who was asked first and is gone left a row that the controller goes on from.
    if (entry?.value.state !== "PENDING" || entry.value.agent !== hooks.agent) return;
    await this.names.claim(spec);
    hooks.plan(entry);
  }

  /** The group once its revision is not `after`, or after `waitMs` as it is. */
  async state(group: string, after: number, waitMs: number): Promise<{ view?: GroupView; coming: boolean }> {
    let entry = this.book.get(group);
    if (entry === undefined && this.book.placement(group).kind === "unknown")
      entry = await this.book.fetch(group);
    if ((entry?.revision ?? 0) === after) entry = await this.nextChange(group, waitMs);
    if (entry !== undefined) return { view: groupViewOf(entry.value, entry.revision), coming: false };
    return { coming: this.book.placement(group).kind === "pending" };
  }

  private nextChange(group: string, waitMs: number): Promise<GroupEntry | undefined> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        stop();
        resolve(this.book.get(group));
      };
      const stop = this.book.onChange((key) => {
        if (key === group) done();
      });
      const timer = setTimeout(done, waitMs).unref();
    });
  }

  /** @throws GroupNotFoundError */
  async find(namespace: string, name: string): Promise<GroupView> {
    const entry = await this.names.holder(namespace, name);
    if (entry !== undefined) return groupViewOf(entry.value, entry.revision);
    throw new GroupNotFoundError(
      `no placement group is named "${name}" in namespace "${namespace}": make it, or check the name and the namespace ` +
        `(without an explicit one each job has its own)`,
    );
  }

  /** All that are not removed. */
  list(): GroupView[] {
    return [...this.book.entries()]
      .filter(({ value }) => value.state !== "REMOVED")
      .map(({ value, revision }) => groupViewOf(value, revision));
  }

  /** Ends a group and what runs in it: the nodes of its bundles see the row. Unknown and removed ones are no error. */
  async remove(group: string, reason: string): Promise<void> {
    const known = this.book.get(group) ?? (await this.book.fetch(group));
    if (known === undefined) return;
    const cause = encodeError(new StingrayError(reason));
    const entry = await this.book.apply(group, { kind: "removed", cause });
    if (entry !== undefined) await this.names.release(entry.value);
  }
}
