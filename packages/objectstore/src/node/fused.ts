/** Spill files: many objects one behind the other, each page-aligned and with its header. */
import { closeSync, openSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Entry } from "./entry.js";
import { fileLength } from "./segment.js";
import type { SpillDir } from "./spill-dir.js";

/** A file is worth rewriting when so much of it is dead. Bytes, and as a part of the file. */
const MUCH_DEAD = 64 * 1024 * 1024;
const MOSTLY_DEAD = 0.75;

export interface SpillRecord {
  readonly entry: Entry;
  readonly file: FusedFile;
  /** Of the header, in the file. */
  readonly offset: number;
  /** Of the header, the value, and the rest of the page. */
  readonly length: number;
  readonly crc: number;
  /** The value was compared with its checksum when the file was like this. */
  checked: string | undefined;
}

export class FusedFile {
  /** While it is being written. */
  fd: number | undefined;
  /** Bytes; where the next record begins. */
  end = 0;
  readonly records = new Set<SpillRecord>();
  dead = 0;

  constructor(readonly path: string) {}

  /**
   * Tells that it is the file as it was; undefined: it is not there, or still being written. Its times say nothing:
   * readers set them.
   */
  signature(): string | undefined {
    const found = statSync(this.path, { throwIfNoEntry: false });
    if (found === undefined || this.fd !== undefined) return undefined;
    return `${found.ino} ${found.size}`;
  }
}

export class FusedFiles {
  private readonly files = new Set<FusedFile>();
  private made = 0;

  constructor(
    private readonly dir: SpillDir,
    /** A file that is mostly dead, to be rewritten. */
    private readonly wasteful: (file: FusedFile) => void,
  ) {}

  /** @throws what the file system throws */
  create(): FusedFile {
    const file = new FusedFile(join(this.dir.path ?? "", `fused-${++this.made}`));
    file.fd = openSync(file.path, "wx+", 0o600);
    this.files.add(file);
    return file;
  }

  /** What was written at the end of the file is an object. Its bytes must have been taken. */
  add(file: FusedFile, entry: Entry, crc: number): SpillRecord {
    const length = fileLength(entry.size);
    const record: SpillRecord = { entry, file, offset: file.end, length, crc, checked: undefined };
    file.end += length;
    file.records.add(record);
    this.dir.written(length);
    return record;
  }

  /** Nothing more will be written. */
  finish(file: FusedFile): void {
    if (file.fd !== undefined) closeSync(file.fd);
    file.fd = undefined;
    this.tidy(file);
  }

  release(record: SpillRecord): void {
    const { file, length } = record;
    if (!file.records.delete(record)) return;
    file.dead += length;
    this.tidy(file);
  }

  private tidy(file: FusedFile): void {
    if (file.fd !== undefined || !this.files.has(file)) return;
    if (file.records.size === 0) {
      this.files.delete(file);
      this.dir.discard(file.path);
      this.dir.giveBack(file.end, true);
    } else if (file.dead > MUCH_DEAD && file.dead > file.end * MOSTLY_DEAD) {
      this.wasteful(file);
    }
  }
}
