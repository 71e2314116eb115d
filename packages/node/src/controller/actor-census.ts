/**
 * What the controller has to look at: there may be a hundred thousand actors, and nearly all of them are well. All are
 * looked at when nodes come or go; else those whose rows have changed, and those that were not well the last time.
 */
import type { ActorBook, ActorEntry } from "./actor-book.js";

export class ActorCensus {
  /** Those to be looked at; undefined: all. */
  private open: Map<string, ActorEntry> | undefined;
  private readonly deadOnes = new Map<string, ActorEntry>();
  /** By job: actors that outlive it, and have not ended. */
  private readonly lasting = new Map<string, number>();
  private circumstances = "";
  private readonly off: () => void;

  constructor(private readonly book: Pick<ActorBook, "entries" | "onChange">) {
    for (const entry of book.entries()) this.count(entry.key, entry, undefined);
    this.off = book.onChange((actor, now, before) => this.count(actor, now, before));
  }

  /** The rows of those that have ended. */
  get dead(): readonly ActorEntry[] {
    return [...this.deadOnes.values()];
  }

  /** Whether actors of the job are there that outlive it. */
  lasts(job: string): boolean {
    return this.lasting.has(job);
  }

  /**
   * Those to be looked at, each once until it changes or is put {@link back}.
   * @param circumstances what all depends on beside the rows; where it is not what it was, all are looked at
   */
  take(circumstances: string): Iterable<ActorEntry> {
    const { open } = this;
    const all = open === undefined || circumstances !== this.circumstances;
    this.circumstances = circumstances;
    this.open = new Map();
    return all ? this.book.entries() : open.values();
  }

  /** It is not well, and is to be looked at again. */
  back(entry: ActorEntry): void {
    if (!this.open?.has(entry.key)) this.open?.set(entry.key, entry);
  }

  /** Not all that was taken was looked at. */
  unfinished(): void {
    this.open = undefined;
  }

  stop(): void {
    this.off();
  }

  private count(actor: string, now: ActorEntry | undefined, before: ActorEntry | undefined): void {
    const dead = now?.value.state === "DEAD";
    if (dead) this.deadOnes.set(actor, now);
    else this.deadOnes.delete(actor);
    if (now === undefined || dead) this.open?.delete(actor);
    else this.open?.set(actor, now);
    this.add(before, -1);
    this.add(now, 1);
  }

  private add(entry: ActorEntry | undefined, by: number): void {
    if (entry === undefined || !entry.value.spec.detached || entry.value.state === "DEAD") return;
    const { job } = entry.value.spec;
    const count = (this.lasting.get(job) ?? 0) + by;
    if (count === 0) this.lasting.delete(job);
    else this.lasting.set(job, count);
  }
}
