/** The bytes that are moved: random, touched, and with a stamp that shows at the other end which ones they are. */
import { randomFillSync } from "node:crypto";
import { StingrayError } from "@stingray/protocol";

const MIB = 2 ** 20;
/** `randomFillSync` takes no more than this at once. */
const FILL_BYTES = 64 * MIB;
/** Places of a stamp, spread evenly from the first byte to the last. */
const STAMPS = 8;

/** Random bytes whose pages all exist. */
export function randomData(bytes: number): Uint8Array {
  const data = new Uint8Array(bytes);
  const end = Math.min(bytes, FILL_BYTES);
  randomFillSync(data, 0, end);
  // The rest repeats the first part: what counts is that every page is a page of its own.
  for (let at = end; at < bytes; at += end) data.copyWithin(at, 0, Math.min(end, bytes - at));
  return data;
}

/** Writes `seed` into the data, a byte at each of a few places. */
export function stamp(data: Uint8Array, seed: number): void {
  for (let i = 0; i < STAMPS; i++) data[placeOf(i, data.length)] = byteOf(seed, i);
}

/** Reads a stamp: a number by which the data with another seed would differ. */
export function readStamp(data: Uint8Array): number {
  let value = data.length;
  for (let i = 0; i < STAMPS; i++) value = (value * 31 + (data[placeOf(i, data.length)] ?? 0)) % 0x7fff_ffff;
  return value;
}

/** What {@link readStamp} gives for data of this length and seed. */
export function stampOf(bytes: number, seed: number): number {
  let value = bytes;
  for (let i = 0; i < STAMPS; i++) value = (value * 31 + byteOf(seed, i)) % 0x7fff_ffff;
  return value;
}

/** @throws StingrayError when the data are not those of this length and seed */
export function checkStamp(data: Uint8Array, bytes: number, seed: number): void {
  checkAnswer(readStamp(data), bytes, seed);
}

/** @throws StingrayError when another process read another stamp than that of this length and seed */
export function checkAnswer(answer: number, bytes: number, seed: number): void {
  if (answer !== stampOf(bytes, seed))
    throw new StingrayError(`the value that arrived is not the one of ${bytes} bytes that was sent`);
}

/** A size as the names of cases have it, for example `64 MiB`. */
export function sizeName(bytes: number): string {
  return bytes >= MIB ? `${bytes / MIB} MiB` : `${bytes / 1024} KiB`;
}

function placeOf(i: number, length: number): number {
  return Math.floor((i * (length - 1)) / (STAMPS - 1));
}

function byteOf(seed: number, i: number): number {
  return (Math.imul(seed, 167) + (seed >>> 8) * 13 + i * 41 + 7) & 0xff;
}
