/**
 * Has every group planned whose row names this agent: one that was claimed, or written, while the broker was too slow for
 * the rest, or whose search ended with an error.
 */
import { NameTakenError } from "@stingray/protocol";
import type { GroupBook, GroupEntry } from "./group-book.js";
import { describeGroup } from "./group-machine.js";
import type { GroupNames } from "./group-names.js";

export interface KeeperHooks {
  readonly agent: string;
  /** Whether nodes are being looked for already. */
  isPlanning(group: string): boolean;
  plan(entry: GroupEntry): void;
  remove(group: string, reason: string): Promise<void>;
  failed(what: string, error: unknown): void;
}

/** Between two looks at the rows, in milliseconds. */
const LOOK_MS = 1_000;

export class GroupKeeper {
  private timer: NodeJS.Timeout | undefined;
  private looking = false;
  /** Without a planner when they were looked at last: the next time is none too early. */
  private idle = new Set<string>();

  constructor(
    private readonly book: GroupBook,
    private readonly names: Pick<GroupNames, "claim">,
    private readonly hooks: KeeperHooks,
  ) {}

  start(): void {
    this.timer ??= setInterval(() => void this.look(), LOOK_MS).unref();
  }

  stop(): void {
    clearInterval(this.timer);
  }

  /** Plans what has been without a planner since the last look. Never rejects. */
  async look(): Promise<void> {
    if (this.looking) return;
    this.looking = true;
    try {
      const idle = [...this.book.entries()].filter((entry) => this.isIdle(entry));
      const before = this.idle;
      this.idle = new Set(idle.map(({ key }) => key));
      for (const entry of idle) if (before.has(entry.key)) await this.adopt(entry);
    } finally {
      this.looking = false;
    }
  }

  /** Takes the name for the group and has it planned; where that fails now, it is tried again later. Never rejects. */
  async adopt({ key: group, value: row }: GroupEntry): Promise<void> {
    try {
      const refused = this.book.refusal(group);
      if (refused !== undefined) {
        await this.hooks.remove(group, `it could not be made: ${refused}`);
        return;
      }
      await this.names.claim(row);
    } catch (thrown) {
      if (!(thrown instanceof NameTakenError)) {
        this.hooks.failed(`go on with ${describeGroup(row)}`, thrown);
        return;
      }
      await this.hooks
        .remove(group, "its name was taken by another before it had a place")
        .catch((error: unknown) => this.hooks.failed(`remove ${describeGroup(row)}`, error));
      return;
    }
    const now = this.book.get(group);
    if (now !== undefined && this.isIdle(now)) this.hooks.plan(now);
  }

  private isIdle({ key, value: { state, agent } }: GroupEntry): boolean {
    const open = state === "PENDING" || state === "RESCHEDULING";
    return open && agent === this.hooks.agent && !this.hooks.isPlanning(key);
  }
}
