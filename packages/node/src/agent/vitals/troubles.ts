/** What is wrong with processes of the cluster now: what this agent sees of its own, and what the others tell. */
import type { ActorTrouble, ProcessNews } from "@stingray/protocol";
import type { Timers } from "../timers.js";

/** News that nobody has told again for so long is over: whoever told it is gone. Milliseconds. */
const FORGET_MS = 15_000;

interface Known {
  readonly news: ProcessNews;
  readonly at: number;
  forget(): void;
}

export class Troubles {
  private readonly known = new Map<string, Known>();
  private readonly ofActors = new Map<string, string>();
  private readonly listeners = new Set<(news: ProcessNews) => void>();

  constructor(private readonly timers: Timers) {}

  /** Told of each change, also when something is over. */
  onChange(listener: (news: ProcessNews) => void): void {
    this.listeners.add(listener);
  }

  told(news: ProcessNews): void {
    this.drop(news.process);
    if (!news.over) {
      const forget = this.timers.defer(FORGET_MS, () => this.told({ ...news, over: true }));
      this.known.set(news.process, { news, at: this.timers.now(), forget });
      for (const actor of news.actors) this.ofActors.set(actor, news.process);
    }
    for (const listener of this.listeners) listener(news);
  }

  /** Of an actor that lives in this process, or is being made; as of now. */
  of(actor: string, process: string | undefined): ActorTrouble | undefined {
    const known = this.known.get(process ?? this.ofActors.get(actor) ?? "");
    if (known === undefined) return undefined;
    // Of actors that share a process, a constructor that does not end concerns its own only.
    if (known.news.kind === "constructing" && !known.news.actors.includes(actor)) return undefined;
    const { kind, ms, what, pid, node, others } = known.news;
    const trouble = { kind, ms: ms + this.timers.now() - known.at, what, pid, node };
    return others === undefined ? trouble : { ...trouble, others };
  }

  /** No more is told. */
  stop(): void {
    for (const process of [...this.known.keys()]) this.drop(process);
    this.listeners.clear();
  }

  private drop(process: string): void {
    const before = this.known.get(process);
    if (before === undefined) return;
    before.forget();
    this.known.delete(process);
    for (const actor of before.news.actors)
      if (this.ofActors.get(actor) === process) this.ofActors.delete(actor);
  }
}
