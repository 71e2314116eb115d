/** What a node's store is opened with, and what it answers. */
import type { StoreState } from "@stingray/protocol";
import type { Creation } from "./rooms.js";
import type { SpillOptions } from "./spill-dir.js";

export interface NodeStoreOptions {
  /** Created here, mode 0700; removed by `close`. */
  dir: string;
  /** Bytes of shared memory that all objects and leases may take together. */
  capacity: number;
  /** Where objects go that do not fit. Default: nowhere, and creations wait for `deadlineMs`. */
  spill?: SpillOptions | undefined;
  /** Remove what dead processes left beside both directories first. Default true. */
  sweep?: boolean;
  /** A creation that waits goes to disk when nothing has moved for so long. Milliseconds, default 2000. */
  waitMs?: number;
  /** No creation waits longer. Milliseconds, default 60,000. */
  deadlineMs?: number;
  /** Lines for people: objects lost, spilling refused. Default: nobody reads them. */
  log?: (line: string) => void;
  /** An object left this node although nobody freed it: a copy whose memory was needed, or one whose bytes were lost. */
  dropped?: (object: string, why: "evicted" | "lost") => void;
}

export interface CreateOptions extends Creation {
  signal?: AbortSignal | undefined;
}

export interface ObjectStat {
  /** Of the value, in bytes. */
  readonly size: number;
  /** It is here whole. */
  readonly sealed: boolean;
  readonly state: StoreState;
  readonly copy: boolean;
}

/** An object's bytes, for as long as they are needed. */
export interface SharedBytes {
  readonly bytes: Uint8Array;
  /** All copies of an object have the same; one that was made again has another. undefined: not known. */
  readonly tag: string | undefined;
  /** Nothing of `bytes` may be used any more. Idempotent. */
  release(): void;
}
