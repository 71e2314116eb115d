/**
 * Shared mappings of files that this process writes again and again. A file of the store is reused by the agent, for
 * the same process if it can: copying into pages that are mapped already takes half the time of `write`, while a new
 * mapping costs as much as it saves, so a file is mapped when it comes for the second time.
 */
import { closeSync, constants, openSync } from "node:fs";
import type { Address, MappedFiles } from "./native.js";

export interface WriteMapsOptions {
  /** Mappings kept at most. Default 1,024. */
  maxMaps?: number;
  /** Bytes that they may take together. Default 2 GiB. */
  maxBytes?: number;
}

const DEFAULT_MAPS = 1024;
const DEFAULT_BYTES = 2 * 1024 ** 3;
/** So many files are remembered as written before. */
const MAX_KNOWN = 4096;

interface Entry extends Address {
  /** Of the file: a mapping of another one must never be written into. */
  readonly ino: number;
  readonly view: Uint8Array;
}

export class WriteMaps {
  /** By number of the file; the least recently used first. */
  private readonly maps = new Map<number, Entry>();
  private readonly known = new Set<number>();
  private total = 0;
  private readonly maxMaps: number;
  private readonly maxBytes: number;

  constructor(
    private readonly files: MappedFiles,
    options: WriteMapsOptions = {},
  ) {
    this.maxMaps = options.maxMaps ?? DEFAULT_MAPS;
    this.maxBytes = options.maxBytes ?? DEFAULT_BYTES;
  }

  /** Mappings that are kept, and their bytes. */
  get count(): number {
    return this.maps.size;
  }
  get bytes(): number {
    return this.total;
  }

  /**
   * A file whose pages all exist, through a mapping of its first `length` bytes at least. undefined: use `write`, and
   * tell with `wrote`. The view is good until the next call of anything here.
   * @param found what `path` is now: its mapping may be of an older file, or longer than the file still is
   */
  warm(
    file: number,
    path: string,
    length: number,
    found: { readonly ino: number; readonly size: number },
  ): Uint8Array | undefined {
    const before = this.maps.get(file);
    if (before !== undefined) {
      this.maps.delete(file);
      if (before.ino === found.ino && before.length >= length && found.size >= length) {
        this.maps.set(file, before);
        return before.view;
      }
      this.undo(before);
    }
    if (!this.known.has(file) || found.size < length || found.size > this.maxBytes) return undefined;
    return this.map(file, path, found);
  }

  /** The file was written without a mapping: it is mapped when it comes again. */
  wrote(file: number): void {
    this.known.delete(file);
    this.known.add(file);
    if (this.known.size > MAX_KNOWN) this.known.delete(this.known.values().next().value as number);
  }

  /** Undoes all mappings. */
  close(): void {
    for (const entry of this.maps.values()) this.undo(entry);
    this.maps.clear();
    this.known.clear();
  }

  private map(
    file: number,
    path: string,
    found: { readonly ino: number; readonly size: number },
  ): Uint8Array | undefined {
    this.makeRoom(found.size);
    const fd = openSync(path, constants.O_RDWR | (constants.O_NOFOLLOW ?? 0));
    let place: Address | undefined;
    try {
      place = this.files.mapOnly(fd, found.size, "shared", true);
    } finally {
      closeSync(fd);
    }
    if (place === undefined) return undefined;
    const view = new Uint8Array(this.files.sub(place));
    this.maps.set(file, { ...place, ino: found.ino, view });
    this.total += place.length;
    return view;
  }

  private makeRoom(bytes: number): void {
    for (const [file, entry] of this.maps) {
      if (this.maps.size < this.maxMaps && this.total + bytes <= this.maxBytes) return;
      this.maps.delete(file);
      this.undo(entry);
    }
  }

  /** At once: nothing outside this module has seen the view. */
  private undo(entry: Entry): void {
    this.total -= entry.length;
    this.files.unmap(entry);
  }
}
