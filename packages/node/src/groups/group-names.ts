/** Names of placement groups: a row per name, taken by compare-and-set, so that of any number of creators one gets it. */
import { groupNameKey, type GroupRow, type NameRow, type Table } from "@stingray/gcs-kv";
import { NameTakenError, TimeoutError } from "@stingray/protocol";
import type { GroupBook, GroupEntry } from "./group-book.js";
import { describeGroup } from "./group-machine.js";

/** Rounds of losing to another writer of the same name before giving up. */
const ROUNDS = 50;

export class GroupNames {
  constructor(
    private readonly table: Table<NameRow>,
    private readonly book: GroupBook,
  ) {}

  /** The live group that has the name now. */
  async holder(namespace: string, name: string): Promise<GroupEntry | undefined> {
    const row = await this.table.get(groupNameKey(namespace, name));
    return row === undefined ? undefined : this.live(row.value.group);
  }

  /**
   * Takes the group's name for it. The group's own row must be there already: a name whose group has none, or is
   * removed, is free. A group without a name needs none.
   * @throws NameTakenError naming the holder
   */
  async claim(spec: Pick<GroupRow, "group" | "name" | "namespace" | "job">): Promise<void> {
    const { group, name, namespace, job } = spec;
    if (name === undefined) return;
    const key = groupNameKey(namespace, name);
    const mine: NameRow = { group, job };
    for (let round = 0; round < ROUNDS; round++) {
      const created = await this.table.create(key, mine);
      if (created.ok) return;
      const { current } = created;
      if (current === undefined) continue; // given up between the two looks
      if (current.value.group === group) return;
      const holder = await this.live(current.value.group);
      if (holder !== undefined) {
        throw new NameTakenError(
          `the name "${name}" in namespace "${namespace}" belongs to ${describeGroup(holder.value)} of job ${holder.value.job}: ` +
            `use another name, remove that group first, or share it with getPlacementGroup("${name}")`,
          { detail: { group: holder.value.group, job: holder.value.job } },
        );
      }
      if ((await this.table.update(key, mine, current.revision)).ok) return;
    }
    throw new TimeoutError(
      `the name "${name}" in namespace "${namespace}" changed hands ${ROUNDS} times while it was asked for; try again`,
    );
  }

  /** Gives the name back, if this group still has it. */
  async release({ group, name, namespace }: Pick<GroupRow, "group" | "name" | "namespace">): Promise<void> {
    if (name === undefined) return;
    const key = groupNameKey(namespace, name);
    const row = await this.table.get(key);
    if (row?.value.group === group) await this.table.delete(key, row.revision);
  }

  private async live(group: string | undefined): Promise<GroupEntry | undefined> {
    if (group === undefined || this.book.get(group)?.value.state === "REMOVED") return undefined;
    const row = await this.book.fetch(group);
    return row?.value.state === "REMOVED" ? undefined : row;
  }
}
