/**
 * The recorded history of calls: what callers submitted, what ran where, and how each call ended. All processes append to
 * one file, so that its lines are in the order in which things happened, and survive whoever is killed.
 */
import { closeSync, openSync, readFileSync, writeSync } from "node:fs";

/** Names one call: the caller, the actor, and which of the caller's calls of that actor it is, from 0. */
export interface CallName {
  readonly caller: string;
  readonly actor: string;
  readonly n: number;
}

/** What the caller knows of a call when it submits it. */
export interface CallTerms {
  /** It may run again when the actor was lost (`maxTaskRetries`). @defaultValue false */
  readonly retried?: boolean | undefined;
  /** It may run again in the same incarnation, too (`retryOn`). @defaultValue false */
  readonly repeated?: boolean | undefined;
  /** Calls of different lanes (concurrency groups) have no order among them. @defaultValue "" */
  readonly lane?: string | undefined;
  /** One of its arguments fails, so that it must never run. @defaultValue false */
  readonly hopeless?: boolean | undefined;
  /** Kind of its arguments, for people. */
  readonly kind?: string | undefined;
}

/**
 * - `submitted`: before `.remote()` is called
 * - `began`: by the method, as its first step; `incarnation` is `context().actorEpoch`
 * - `answered`: `of` is the call that the answer says it is of; `items` are the numbers of the items of a stream
 * - `failed`: with this error code
 * - `left`: the caller ended in order, so all its calls must have ended
 */
export type HistoryEvent =
  | ({ readonly event: "submitted" } & CallName & CallTerms)
  | ({ readonly event: "began"; readonly incarnation: number } & CallName)
  | ({
      readonly event: "answered";
      readonly of: CallName;
      readonly items?: readonly number[] | undefined;
    } & CallName)
  | ({ readonly event: "failed"; readonly code: string } & CallName)
  | { readonly event: "left"; readonly caller: string };

/** Appends events to a file that any number of processes share. */
export class HistoryFile implements Disposable {
  private fd: number | undefined;
  private readonly next = new Map<string, number>();

  /** @param path is made by the first event */
  constructor(readonly path: string) {}

  /** @throws Error where the file can't be written */
  record(event: HistoryEvent): void {
    this.fd ??= openSync(this.path, "a", 0o600);
    writeSync(this.fd, `${JSON.stringify(event)}\n`);
  }

  /** Numbers and records a call that this process is about to make in the name of `caller`. */
  submitted(caller: string, actor: string, terms: CallTerms = {}): CallName {
    const key = JSON.stringify([caller, actor]);
    const n = this.next.get(key) ?? 0;
    this.next.set(key, n + 1);
    const name = { caller, actor, n };
    this.record({ event: "submitted", ...name, ...terms });
    return name;
  }

  /** All events so far, of all processes. A last line that was cut off by the death of its writer is left out. */
  read(): HistoryEvent[] {
    const lines = readFileSync(this.path, "utf8").split("\n");
    lines.pop();
    return lines.map((line) => JSON.parse(line) as HistoryEvent);
  }

  /** Closes the file; it stays where it is. */
  [Symbol.dispose](): void {
    if (this.fd !== undefined) closeSync(this.fd);
    this.fd = undefined;
  }
}
