/**
 * A process's own memory for small values: files of some MiB that the agent leases to it, mapped shared and touched
 * ahead, in which blocks are cut off one behind the other. A put costs no system call; a slab is used again when none
 * of its blocks lives.
 */
import { InvalidArgumentError, type StoreRoom } from "@stingray/protocol";
import { mappedFiles, type MappedFiles } from "./native.js";
import { SlabRegion } from "./slab-region.js";

const DEFAULT_SLAB_BYTES = 4 * 1024 * 1024;
const ALIGN = 64;
/** So many empty slabs are kept. */
const KEEP_SPARE = 1;
/** Values above this part of a slab get files of their own. */
const LARGEST_PART = 4;

export interface SlabOptions {
  /** Asks the agent for a file of at least so many bytes. Has a deadline. Rejects with ObjectStoreFullError. */
  lease(bytes: number): Promise<StoreRoom>;
  /** Tells the agent that these files are not used any more. Must not throw. */
  giveBack(files: number[]): void;
  /** Size of one slab. Default 4 MiB. */
  slabBytes?: number;
}

/** A piece of a slab. */
export class SlabBlock {
  private region: SlabRegion | undefined;

  /** @param view the block itself. Its memory is others' after `free` */
  constructor(
    region: SlabRegion,
    readonly offset: number,
    readonly view: Uint8Array,
  ) {
    this.region = region;
  }
  get size(): number {
    return this.view.length;
  }
  /** For the slab: the region that it lies in, once. */
  takeRegion(): SlabRegion | undefined {
    const { region } = this;
    this.region = undefined;
    return region;
  }
}

export class Slab {
  private readonly regions = new Set<SlabRegion>();
  private readonly spare: SlabRegion[] = [];
  private current: SlabRegion | undefined;
  private coming: Promise<void> | undefined;
  private blocks = 0;
  private closed = false;

  private constructor(
    private readonly options: SlabOptions,
    private readonly slabBytes: number,
    private readonly files: MappedFiles | undefined,
  ) {}

  /** Asks for nothing yet. @throws InvalidArgumentError for a bad size */
  static create(options: SlabOptions): Slab {
    const slabBytes = options.slabBytes ?? DEFAULT_SLAB_BYTES;
    if (!Number.isSafeInteger(slabBytes) || slabBytes < 4096) {
      throw new InvalidArgumentError(`slabBytes must be a whole number from 4096, got ${slabBytes}`);
    }
    return new Slab(options, slabBytes, mappedFiles());
  }

  /** Bytes of all slabs, used or not. */
  get capacity(): number {
    return this.regions.size * this.slabBytes;
  }
  /** Blocks that are allocated and not freed. */
  get live(): number {
    return this.blocks;
  }

  /** Whether values of this size can be kept in a slab, now or after `ready`. */
  takes(size: number): boolean {
    return this.files !== undefined && !this.closed && size <= this.slabBytes / LARGEST_PART;
  }

  /**
   * A block of `size` bytes, aligned to 64. undefined: no slab has room just now, then `ready` waits for one; or
   * there never will be one (see `takes`).
   */
  allocate(size: number): SlabBlock | undefined {
    let region = this.current;
    if (region === undefined || region.used + size > this.slabBytes) {
      region = this.takes(size) ? this.nextRegion() : undefined;
      if (region === undefined) return undefined;
    } else if (size > this.slabBytes / LARGEST_PART) return undefined;
    const offset = region.used;
    const used = Math.ceil((offset + size) / ALIGN) * ALIGN;
    region.used = used;
    region.live++;
    this.blocks++;
    if (used * 2 > this.slabBytes && !region.asked) this.askAhead(region);
    return new SlabBlock(region, offset, new Uint8Array(region.buffer, offset, size));
  }

  /**
   * Resolves when `allocate(size)` may succeed. Others may be faster: ask again then. Resolves at once where it never
   * will. All that wait share one lease, whose deadline is theirs.
   * @throws what `lease` throws; ObjectStoreFullError where the file system has no room; InvalidArgumentError when closed
   */
  async ready(size: number): Promise<void> {
    if (this.closed) throw closedError();
    if (!this.takes(size) || this.hasRoom(size)) return;
    await (this.coming ?? this.ask());
  }

  /** The block's memory may be used again. Freeing twice is no error. */
  free(block: SlabBlock): void {
    const region = block.takeRegion();
    if (region === undefined || this.closed) return;
    this.blocks--;
    if (--region.live > 0) return;
    region.used = 0;
    region.asked = false;
    if (region === this.current) return;
    if (this.spare.length < KEEP_SPARE) this.spare.push(region);
    else this.drop(region);
  }

  /** Gives all files back. The caller has no block in use any more; a lease under way goes back when it comes. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    const files = [...this.regions].map((region) => region.file);
    for (const region of this.regions) region.end();
    this.regions.clear();
    this.spare.length = 0;
    this.current = undefined;
    this.blocks = 0;
    if (files.length > 0) this.options.giveBack(files);
  }

  private hasRoom(size: number): boolean {
    const { current } = this;
    return this.spare.length > 0 || (current !== undefined && current.used + size <= this.slabBytes);
  }

  private nextRegion(): SlabRegion | undefined {
    const region = this.spare.pop();
    if (region === undefined) return undefined;
    const before = this.current;
    this.current = region;
    // Only if a size did not fit into an empty slab; then it is not seen again by `free`.
    if (before !== undefined && before.live === 0) this.drop(before);
    return region;
  }

  /** Once per filling: a failure is met again, and told, by whoever waits for room. */
  private askAhead(region: SlabRegion): void {
    region.asked = true;
    if (this.coming !== undefined || this.spare.length > 0) return;
    this.ask().catch(() => undefined);
  }

  private ask(): Promise<void> {
    const coming = this.lease().finally(() => {
      if (this.coming === coming) this.coming = undefined;
    });
    this.coming = coming;
    return coming;
  }

  private async lease(): Promise<void> {
    const { files, slabBytes } = this;
    if (files === undefined) return;
    const room = await this.options.lease(slabBytes);
    let region: SlabRegion;
    try {
      region = await SlabRegion.open(files, room, slabBytes);
    } catch (thrown) {
      this.options.giveBack([room.file]);
      throw thrown;
    }
    if (this.closed) {
      region.end();
      this.options.giveBack([room.file]);
      throw closedError();
    }
    this.regions.add(region);
    if (this.spare.length < KEEP_SPARE) this.spare.push(region);
    else this.drop(region); // one was emptied meanwhile
  }

  private drop(region: SlabRegion): void {
    this.regions.delete(region);
    region.end();
    this.options.giveBack([region.file]);
  }
}

function closedError(): InvalidArgumentError {
  return new InvalidArgumentError("this process's slab is closed: the process is leaving its node's store");
}
