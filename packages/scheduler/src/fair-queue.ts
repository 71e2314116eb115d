/** Whose turn is it: higher priority first, then round robin by job, by submitter, by key. */
import type { Ask } from "./ask.js";

interface Group<T> {
  readonly name: string;
  readonly members: T[];
}

/** The open asks, served one unit at a time. Who was served least recently is served first. */
export class FairQueue {
  readonly #asks = new Set<Ask>();
  /** When (as a count of services) a job, submitter or key was last served. */
  readonly #served = new Map<string, number>();
  #clock = 0;

  add(ask: Ask): void {
    this.#asks.add(ask);
    // A newcomer goes behind those that wait: coming and going must not be a way to the front.
    for (const name of names(ask)) {
      if (!this.#served.has(name)) this.#served.set(name, this.#clock);
    }
  }

  delete(ask: Ask): void {
    this.#asks.delete(ask);
    if (this.#asks.size === 0) this.#served.clear();
    else if (this.#served.size > 64 + 8 * this.#asks.size) this.#forget();
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
    const jobs = this.#group(asks, (ask) => jobName(ask)).map((job) => ({
      name: job.name,
      members: this.#group(job.members, (ask) => submitterName(ask)).map((submitter) => ({
        name: submitter.name,
        members: this.#sorted(submitter.members, (ask) => keyName(ask)),
      })),
    }));
    // Queues of queues: the head is served and goes to the end, or leaves when it can't be served.
    for (let job = jobs.shift(); job !== undefined; job = jobs.shift()) {
      if (this.#serveJob(job.members, isOpen, serve)) jobs.push(job);
    }
  }

  /** One turn of a job. False when nothing of it can be served. */
  #serveJob(submitters: Group<Ask>[], isOpen: (ask: Ask) => boolean, serve: (ask: Ask) => boolean): boolean {
    for (let group = submitters.shift(); group !== undefined; group = submitters.shift()) {
      for (let ask = group.members.shift(); ask !== undefined; ask = group.members.shift()) {
        if (!isOpen(ask) || !serve(ask)) continue;
        this.#clock++;
        for (const name of names(ask)) this.#served.set(name, this.#clock);
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
    const at = (member: T): number => this.#served.get(nameOf(member)) ?? 0;
    return members.toSorted((a, b) => at(a) - at(b));
  }

  #forget(): void {
    const live = new Set([...this.#asks].flatMap(names));
    for (const name of this.#served.keys()) if (!live.has(name)) this.#served.delete(name);
  }
}

const jobName = (ask: Ask): string => ask.job;
const submitterName = (ask: Ask): string => `${ask.job}/${ask.submitter}`;
const keyName = (ask: Ask): string => `${ask.job}/${ask.submitter}/${ask.key}`;
const names = (ask: Ask): string[] => [jobName(ask), submitterName(ask), keyName(ask)];
