/**
 * Files leased ahead of need: who puts objects of about the same size again and again has room for the next one before
 * it comes, with its pages made meanwhile, and so needs no round trip for it.
 */
import type { StoreRoom } from "@stingray/protocol";

/** Larger objects take so long to write that a round trip does not matter, and too much room to wait for. Bytes. */
const LARGEST = 128 * 1024 * 1024;
/** Beside the value, the header. Bytes. */
const BESIDE = 128;
/** A file may be so much larger than what is asked, as a part of it. */
const WASTE = 1 / 4;
/** Rooms that wait at a time. */
const MOST = 2;
/** Rooms that nobody used for so long go back. Milliseconds. */
const IDLE_MS = 1_000;

export interface RoomsAheadHooks {
  /** `store.lease`; without `length` there is none to be had. */
  lease(bytes: number): Promise<StoreRoom>;
  giveBack(files: readonly number[]): void;
}

export class RoomsAhead {
  private rooms: StoreRoom[] = [];
  private asking = 0;
  private idle: NodeJS.Timeout | undefined;
  private usedAt = 0;
  private closed = false;

  constructor(private readonly hooks: RoomsAheadHooks) {}

  /** Room for a value of `size` bytes; undefined: ask for it. */
  take(size: number): StoreRoom | undefined {
    const at = this.rooms.findIndex((room) => fits(room, size));
    if (at < 0) return undefined;
    this.usedAt = performance.now();
    return this.rooms.splice(at, 1)[0];
  }

  /** A value of `size` bytes was put; there may be another soon. */
  want(size: number): void {
    if (this.closed || size > LARGEST || this.asking > 0) return;
    if (this.rooms.some((room) => fits(room, size))) return;
    // Made for another size: the habit has changed.
    if (this.rooms.length >= MOST) this.hooks.giveBack([(this.rooms.shift() as StoreRoom).file]);
    this.asking++;
    this.hooks
      .lease(size + BESIDE)
      .then((room) => this.came(room))
      .catch(() => undefined) // the next object asks for itself, and is told what is wrong
      .finally(() => this.asking--);
  }

  /** Gives all of them back. */
  close(): void {
    this.closed = true;
    clearTimeout(this.idle);
    this.giveBackAll();
  }

  private came(room: StoreRoom): void {
    if (room.length === 0) return;
    this.rooms.push(room);
    this.usedAt = performance.now();
    if (this.closed) this.giveBackAll();
    else this.idle ??= setTimeout(() => this.look(), IDLE_MS).unref();
  }

  private look(): void {
    this.idle = undefined;
    const left = this.usedAt + IDLE_MS - performance.now();
    if (this.rooms.length === 0) return;
    if (left > 1) this.idle = setTimeout(() => this.look(), left).unref();
    else this.giveBackAll();
  }

  private giveBackAll(): void {
    const files = this.rooms.map(({ file }) => file);
    this.rooms = [];
    if (files.length > 0) this.hooks.giveBack(files);
  }
}

function fits({ length }: StoreRoom, size: number): boolean {
  return length >= size + BESIDE && length <= (size + BESIDE) * (1 + WASTE) + 4096;
}
