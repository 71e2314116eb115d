/** What a source of a pull needs of the pull. */
import type { PullLimits } from "./limits.js";
import type { Asker } from "./plan.js";
import type { Pool } from "./pool.js";
import type { Holder, Source } from "./types.js";

/** The pull. */
export interface PullHost {
  readonly object: string;
  readonly size: number;
  readonly pool: Pool;
  readonly limits: PullLimits;
  /** A source has the object with this tag. False: it is another one than what is here, or comes from others. */
  takes(tag: string | undefined): boolean;
  /** Where a chunk goes. */
  room(index: number): Uint8Array;
  /** It has come. `sum`: what it should be; undefined: it was checked already. false: it was damaged. */
  came(source: Asker, index: number, bytes: Uint8Array, sum: Buffer | undefined): boolean;
  /** What was asked for will not come from there. */
  released(index: number): void;
  holders(holders: readonly Holder[]): void;
  /** There may be something to ask of somebody. */
  changed(): void;
}

/** Who it is: somebody named by the caller, or one who pulls the same object. */
export type Origin = { readonly source: Source } | { readonly holder: Holder };
