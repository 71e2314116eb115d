/** Whose turn is it: higher priority first, then who holds least, by job, by submitter, by key. */
import type { Ask } from "./ask.js";
import { levelsOf, rivals, type Shares } from "./shares.js";

interface Group<T> {
  readonly name: string;
  readonly members: T[];
}

/** Names of those that are not in the queue any more are remembered for so many services. */
const REMEMBERED = 256;

/** The open asks, served one unit at a time. Of those who hold the same, who was served least recently is served first. */
export class FairQueue {
  readonly #asks = new Set<Ask>();
  /** When (as a count of services) a job, submitter or key was last served. */
  readonly #served = new Map<string, number>();
  #clock = 0;

  /** @param shares what each of them holds here */
  constructor(private readonly shares: Pick<Shares, "of">) {}

  add(ask: Ask): void {
    this.#asks.add(ask);
    // A newcomer goes behind those that wait: coming and going must not be a way to the front.
    for (const name of levelsOf(ask)) {
      if (!this.#served.has(name)) this.#served.set(name, this.#clock);
    }
  }

  delete(ask: Ask): void {
    this.#asks.delete(ask);
    this.#forget();
  }

  /** One unit of it was served, here or on its way in. */
  noteServed(ask: Ask): void {
    this.#clock++;
    for (const name of levelsOf(ask)) this.#served.set(name, this.#clock);
    // Offers of other nodes are served and never were in the queue.
    this.#forget();
  }

  /** Whether it is the first's turn before the second's. */
  goesFirst(first: Ask, second: Ask): boolean {
    if (first.priority !== second.priority) return first.priority > second.priority;
    const names = rivals(first, second);
    return names !== undefined && this.#order(names[0], names[1]) < 0;
  }

  get size(): number {
    return this.#asks.size;
  }

  [Symbol.iterator](): IterableIterator<Ask> {
    return this.#asks.values();
  }

  /** Offers turns until all asks have refused one. `serve` returns true when it served one unit of the ask. */
  serve(isOpen: (ask: Ask) => boolean, serve: (ask: Ask) => boolean): void {
    const open = [...this.#asks].filter(isOpen);
    const priorities = [...new Set(open.map((ask) => ask.priority))].toSorted((a, b) => b - a);
    for (const priority of priorities) {
      this.#serveLevel(
        open.filter((ask) => ask.priority === priority),
        isOpen,
        serve,
      );
    }
  }

  #serveLevel(asks: Ask[], isOpen: (ask: Ask) => boolean, serve: (ask: Ask) => boolean): void {
    const jobs = this.#group(asks, (ask) => ask.job).map((job) => ({
      name: job.name,
      members: this.#group(job.members, (ask) => levelsOf(ask)[1]).map((submitter) => ({
        name: submitter.name,
        members: this.#sorted(submitter.members, (ask) => levelsOf(ask)[2]),
      })),
    }));
    // Queues of queues: who is served goes to the end, or leaves when it can't be served.
    for (let job = this.#takeLeast(jobs); job !== undefined; job = this.#takeLeast(jobs)) {
      if (this.#serveJob(job.members, isOpen, serve)) jobs.push(job);
    }
  }

  /** The job that holds least, the first of those. */
  #takeLeast<T>(jobs: Group<T>[]): Group<T> | undefined {
    let least = 0;
    for (let i = 1; i < jobs.length; i++) {
      if (this.shares.of(jobs[i]?.name ?? "") < this.shares.of(jobs[least]?.name ?? "")) least = i;
    }
    return jobs.splice(least, 1)[0];
  }

  /** One turn of a job. False when nothing of it can be served. */
  #serveJob(submitters: Group<Ask>[], isOpen: (ask: Ask) => boolean, serve: (ask: Ask) => boolean): boolean {
    for (let group = submitters.shift(); group !== undefined; group = submitters.shift()) {
      for (let ask = group.members.shift(); ask !== undefined; ask = group.members.shift()) {
        if (!isOpen(ask) || !serve(ask)) continue;
        this.noteServed(ask);
        group.members.push(ask);
        submitters.push(group);
        return true;
      }
    }
    return false;
  }

  #group(asks: Ask[], nameOf: (ask: Ask) => string): Group<Ask>[] {
    const groups = new Map<string, Group<Ask>>();
    for (const ask of asks) {
      const name = nameOf(ask);
      const group = groups.get(name);
      if (group === undefined) groups.set(name, { name, members: [ask] });
      else group.members.push(ask);
    }
    return this.#sorted([...groups.values()], (group) => group.name);
  }

  #sorted<T>(members: T[], nameOf: (member: T) => string): T[] {
    return members.toSorted((a, b) => this.#order(nameOf(a), nameOf(b)));
  }

  #order(a: string, b: string): number {
    return this.shares.of(a) - this.shares.of(b) || (this.#served.get(a) ?? 0) - (this.#served.get(b) ?? 0);
  }

  #forget(): void {
    if (this.#served.size <= 4 * REMEMBERED + 8 * this.#asks.size) return;
    const live = new Set<string>([...this.#asks].flatMap(levelsOf));
    for (const [name, at] of this.#served)
      if (!live.has(name) && this.#clock - at > REMEMBERED) this.#served.delete(name);
  }
}
