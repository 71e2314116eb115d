/** Names of actors: a row per name, taken by compare-and-set, so that of any number of creators one gets it. */
import { nameKey, type NameRow, type Table } from "@stingray/gcs-kv";
import {
  ActorNotFoundError,
  TimeoutError,
  decodeToken,
  encodeToken,
  type ActorSpec,
} from "@stingray/protocol";
import type { ActorBook } from "./actor-book.js";

/** Rounds of losing to another writer of the same name before giving up. */
const ROUNDS = 50;

export class ActorNames {
  constructor(
    private readonly table: Table<NameRow>,
    private readonly book: ActorBook,
  ) {}

  /** The live actor that has the name now. */
  async holder(namespace: string, name: string): Promise<ActorSpec | undefined> {
    const row = await this.table.get(nameKey(namespace, name));
    return row === undefined ? undefined : this.live(row.value.actor);
  }

  /**
   * Takes the spec's name for it. The actor's own row must be there already: a name whose actor has none, or a dead
   * one, is free.
   * @returns the spec of the actor that has the name: this one, or the holder
   */
  async claim(spec: ActorSpec, name: string): Promise<ActorSpec> {
    const key = nameKey(spec.namespace, name);
    const mine: NameRow = { actor: spec.actor, job: spec.job };
    for (let round = 0; round < ROUNDS; round++) {
      const created = await this.table.create(key, mine);
      if (created.ok) return spec;
      const current = created.current;
      if (current === undefined) continue; // given up between the two looks
      if (current.value.actor === spec.actor) return spec;
      const holder = await this.live(current.value.actor);
      if (holder !== undefined) return holder;
      const taken = await this.table.update(key, mine, current.revision);
      if (taken.ok) return spec;
    }
    throw new TimeoutError(
      `the name "${name}" in namespace "${spec.namespace}" changed hands ${ROUNDS} times while it was asked for; try again`,
    );
  }

  /** Gives the name back, if this actor still has it. */
  async release(spec: ActorSpec): Promise<void> {
    if (spec.name === undefined) return;
    const key = nameKey(spec.namespace, spec.name);
    const row = await this.table.get(key);
    if (row?.value.actor === spec.actor) await this.table.delete(key, row.revision);
  }

  /** @throws ActorNotFoundError */
  async get(namespace: string, name: string): Promise<ActorSpec> {
    const spec = await this.holder(namespace, name);
    if (spec !== undefined) return spec;
    throw new ActorNotFoundError(
      `no live actor is named "${name}" in namespace "${namespace}": create it, or check the name and the namespace ` +
        `(without an explicit one each job has its own)`,
    );
  }

  async list(namespace: string | undefined): Promise<{ namespace: string; name: string }[]> {
    const found: { namespace: string; name: string }[] = [];
    for await (const row of this.table.entries(namespace === undefined ? "" : encodeToken(namespace))) {
      const [space, name] = row.key.split("/").map(decodeToken);
      if (space === undefined || name === undefined) continue;
      if ((await this.live(row.value.actor)) !== undefined) found.push({ namespace: space, name });
    }
    return found;
  }

  private async live(actor: string | undefined): Promise<ActorSpec | undefined> {
    if (actor === undefined) return undefined;
    const known = this.book.get(actor);
    if (known?.value.state === "DEAD") return undefined; // for good, so this can't be out of date
    const row = (await this.book.fetch(actor))?.value;
    return row === undefined || row.state === "DEAD" ? undefined : row.spec;
  }
}
