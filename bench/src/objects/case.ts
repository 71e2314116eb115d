import { StingrayError } from "@stingray/protocol";

/** What each wait of a case for one large value may take, in milliseconds. */
export const WAIT = { timeoutMs: 60_000 } as const;

/** Something that the subjects of a case share: made when the first wants it, dropped when one ends. */
export class Shared<T> {
  #value: T | undefined;
  readonly #make: () => T;

  constructor(make: () => T) {
    this.#make = make;
  }

  get(): T {
    return (this.#value ??= this.#make());
  }

  drop(): void {
    this.#value = undefined;
  }
}

/** For what a case was promised to find. */
export function must<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new StingrayError(`${what} is missing`);
  return value;
}
