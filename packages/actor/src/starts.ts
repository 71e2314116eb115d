/**
 * Calls that may run at the same time begin in the order in which their turns came, although some have to read their
 * arguments from a store first and others need not.
 */
import type { Body, IncomingCall } from "@stingray/task/internal";

/** The beginning of one call. */
export interface Start {
  /** What has to begin before it; undefined where nothing has to. */
  readonly after: Promise<void> | undefined;
  /** Says when it begins. */
  readonly body: Body;
  /** It has begun, or never will. */
  begun(): void;
}

export class Starts {
  /** By concurrency group, the last call whose turn has come, until it has begun. */
  private readonly last = new Map<string, Promise<void>>();

  /** The turn of a call has come. @returns undefined where it begins at once */
  of(call: IncomingCall, body: Body): Start | undefined {
    const group = call.options?.group ?? "";
    const after = this.last.get(group);
    if (after === undefined && call.args instanceof Uint8Array) return undefined;
    let begun = (): void => {};
    const begins = new Promise<void>((resolve) => {
      begun = () => {
        if (this.last.get(group) === begins) this.last.delete(group);
        resolve();
      };
    });
    this.last.set(group, begins);
    return {
      after,
      begun,
      body: (...args) => {
        begun();
        return body(...args);
      },
    };
  }
}
