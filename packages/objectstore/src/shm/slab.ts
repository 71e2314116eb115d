/**
 * A process's own memory for small values: files of some MiB, mapped shared and touched ahead, in which blocks are
 * cut off one behind the other. A put costs no system call; a slab is used again when none of its blocks lives.
 */
import { closeSync, openSync } from "node:fs";
import { join, resolve } from "node:path";
import { InvalidArgumentError, ObjectStoreFullError } from "@stingray/protocol";
import { checkObjectName, fileSystemFull, noRoom, removeIfThere } from "./files.js";
import { mappedFiles, type MappedFiles, type Mapping } from "./native.js";

const DEFAULT_SLAB_BYTES = 4 * 1024 * 1024;
const ALIGN = 64;
/** So many empty slabs are kept warm. */
const KEEP_EMPTY = 2;
/** Values above this part of a slab get files of their own. */
const LARGEST_PART = 4;

export interface SlabOptions {
  dir: string;
  /** Of the files; the process's id. */
  name: string;
  /** Size of one slab. Default 4 MiB. */
  slabBytes?: number;
}

export interface SlabBlock {
  /** The file that it lies in, for other processes. */
  readonly path: string;
  readonly offset: number;
  readonly size: number;
  /** The block itself. Its memory is others' after `free`. */
  readonly view: Uint8Array;
}

interface Region {
  readonly path: string;
  readonly mapping: Mapping;
  used: number;
  live: number;
}

export class Slab {
  private readonly blocks = new Map<SlabBlock, Region>();
  private readonly regions = new Set<Region>();
  private empty: Region[] = [];
  private current: Region | undefined;
  private made = 0;

  private constructor(
    private readonly dir: string,
    private readonly name: string,
    private readonly slabBytes: number,
    private readonly files: MappedFiles | undefined,
  ) {}

  static create(options: SlabOptions): Slab {
    checkObjectName(options.name);
    const slabBytes = options.slabBytes ?? DEFAULT_SLAB_BYTES;
    if (!Number.isSafeInteger(slabBytes) || slabBytes < 4096) {
      throw new InvalidArgumentError(`slabBytes must be a whole number from 4096, got ${slabBytes}`);
    }
    return new Slab(resolve(options.dir), options.name, slabBytes, mappedFiles());
  }

  /** Bytes of all slabs, used or not. */
  get capacity(): number {
    return this.regions.size * this.slabBytes;
  }
  /** Blocks that are allocated and not freed. */
  get live(): number {
    return this.blocks.size;
  }

  /**
   * A block of `size` bytes, aligned to 64. undefined: too large for a slab (or no mappings on this platform); make a
   * file for it.
   * @throws ObjectStoreFullError if the file system has no room for another slab
   */
  allocate(size: number): SlabBlock | undefined {
    if (this.files === undefined || size > this.slabBytes / LARGEST_PART) return undefined;
    let region = this.current;
    if (region === undefined || region.used + size > this.slabBytes) region = this.nextRegion(this.files);
    const offset = region.used;
    region.used = Math.ceil((offset + size) / ALIGN) * ALIGN;
    region.live++;
    const view = new Uint8Array(region.mapping.buffer, offset, size);
    const block: SlabBlock = { path: region.path, offset, size, view };
    this.blocks.set(block, region);
    return block;
  }

  /** The block's memory may be used again. Freeing twice is no error. */
  free(block: SlabBlock): void {
    const region = this.blocks.get(block);
    if (region === undefined) return;
    this.blocks.delete(block);
    region.live--;
    if (region.live > 0) return;
    region.used = 0;
    if (region === this.current) return;
    if (this.empty.length < KEEP_EMPTY) this.empty.push(region);
    else this.drop(region);
  }

  /** Removes the files. The caller has no block in use any more. */
  close(): void {
    for (const region of this.regions) this.drop(region);
    this.blocks.clear();
    this.empty = [];
    this.current = undefined;
  }

  private nextRegion(files: MappedFiles): Region {
    const region = this.empty.pop() ?? this.newRegion(files);
    this.current = region;
    return region;
  }

  private newRegion(files: MappedFiles): Region {
    const path = join(this.dir, `slab.${this.name}.${this.made++}`);
    let fd: number;
    try {
      fd = openSync(path, "wx+", 0o600);
    } catch (thrown) {
      throw noRoom(thrown, this.dir, this.slabBytes) ?? thrown;
    }
    let region: Region | undefined;
    try {
      // All pages exist before one is written: a full file system must be an error, not a SIGBUS.
      const error = files.allocate(fd, this.slabBytes);
      const mapping = error === 0 ? files.map(fd, this.slabBytes, "shared", true) : undefined;
      if (mapping === undefined) throw this.refused(error);
      region = { path, mapping, used: 0, live: 0 };
    } finally {
      closeSync(fd);
      if (region === undefined) removeIfThere(path);
    }
    this.regions.add(region);
    return region;
  }

  private refused(error: number): ObjectStoreFullError {
    return error === 0
      ? new ObjectStoreFullError(
          `the system refused to map ${this.slabBytes} bytes of ${this.dir}: too many mappings, or no memory`,
        )
      : fileSystemFull(this.dir, this.slabBytes);
  }

  private drop(region: Region): void {
    this.regions.delete(region);
    removeIfThere(region.path);
    unmapWhenUnused(region.mapping);
  }
}

/** Views on a dropped slab may still be held by mistake: its memory goes when the last of them does. */
const unmapped = new FinalizationRegistry<{ address: bigint; length: number }>((address) => {
  mappedFiles()?.unmap(address);
});
function unmapWhenUnused({ buffer, address, length }: Mapping): void {
  unmapped.register(buffer, { address, length });
}
