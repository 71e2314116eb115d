/**
 * The page on which a worker keeps how it does, in memory that it shares with its agent: a store costs nanoseconds and
 * needs no turn of the event loop, so what it was in can be read while the loop stands still, and after its end.
 *
 * Numbers are float64 in the machine's order (both sides are on one machine), times milliseconds of the machine's
 * monotonic clock, which all its processes share.
 */
import { decodeWireError, type WireError } from "@stingray/protocol";

export const PAGE_BYTES = 8192;
export const PAGE_MAGIC = 0x5374_5631;

/** Where each number is. */
export const Field = {
  Magic: 0,
  /** When the loop turned last, as far as is known. */
  TurnAt: 1,
  /** It will be marked again by then. */
  DueAt: 2,
  /** Since when the code named by `Current` has run without a stop. */
  BegunAt: 3,
  /** Number of a name; 0: none. */
  Current: 4,
  /** Calls begun and not ended. */
  Open: 5,
  /** The last that was begun: number of its name. */
  Last: 6,
  HeapUsed: 7,
  HeapLimit: 8,
  /** Calls that wait for their turn. */
  Queued: 9,
  /** Length of the encoded error that nobody caught. */
  ErrorBytes: 10,
} as const;

export const NAMES_AT = 256;
export const NAME_BYTES = 96;
export const MOST_NAMES = 40;
export const ERROR_AT = NAMES_AT + MOST_NAMES * NAME_BYTES;
export const MOST_ERROR_BYTES = PAGE_BYTES - ERROR_AT;

/** Milliseconds of the machine's monotonic clock at which `performance.now()` was 0. */
const BASE = Number(process.hrtime.bigint()) / 1e6 - performance.now();
/** Milliseconds of the machine's monotonic clock. */
export const monotonicMs = (): number => BASE + performance.now();
/** The same of a moment of `performance.now()`. */
export const monotonicOf = (now: number): number => BASE + now;

/** What a page says. */
export interface PageView {
  turnAt: number;
  dueAt: number;
  begunAt: number;
  /** What runs without a stop now. */
  current?: string | undefined;
  open: number;
  /** The last call that was begun. */
  last?: string | undefined;
  heapUsed: number;
  heapLimit: number;
  queued: number;
  /** The error that nobody caught. */
  error?: WireError | undefined;
}

/** Undefined for anything that is no such page, or not yet. What is in it may be half written: nothing is trusted. */
export function readPage(bytes: Uint8Array): PageView | undefined {
  if (bytes.byteLength < PAGE_BYTES) return undefined;
  const copy = bytes.slice(0, PAGE_BYTES);
  const numbers = new Float64Array(copy.buffer, 0, NAMES_AT / 8);
  const at = (field: number): number => {
    const value = numbers[field] ?? 0;
    return Number.isFinite(value) && value >= 0 ? value : 0;
  };
  if (at(Field.Magic) !== PAGE_MAGIC) return undefined;
  return {
    turnAt: at(Field.TurnAt),
    dueAt: at(Field.DueAt),
    begunAt: at(Field.BegunAt),
    current: nameAt(copy, at(Field.Current)),
    open: Math.floor(at(Field.Open)),
    last: nameAt(copy, at(Field.Last)),
    heapUsed: Math.floor(at(Field.HeapUsed)),
    heapLimit: Math.floor(at(Field.HeapLimit)),
    queued: Math.floor(at(Field.Queued)),
    error: errorIn(copy, at(Field.ErrorBytes)),
  };
}

function nameAt(page: Uint8Array, id: number): string | undefined {
  if (!Number.isInteger(id) || id < 1 || id > MOST_NAMES) return undefined;
  const start = NAMES_AT + (id - 1) * NAME_BYTES;
  const length = Math.min(page[start] ?? 0, NAME_BYTES - 1);
  return length === 0
    ? undefined
    : Buffer.from(page.subarray(start + 1, start + 1 + length)).toString("utf8");
}

function errorIn(page: Uint8Array, length: number): WireError | undefined {
  if (!Number.isInteger(length) || length < 1 || length > MOST_ERROR_BYTES) return undefined;
  return decodeWireError(page.subarray(ERROR_AT, ERROR_AT + length));
}
