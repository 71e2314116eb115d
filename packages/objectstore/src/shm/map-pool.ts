/** The private mappings of this process: counted, and undone when nothing refers to their memory any more. */
import type { Address, MappedFiles } from "./native.js";
import type { StoredBytes } from "./stored-bytes.js";

/** Linux allows 65,530 mappings in a process; V8 and malloc need some of them. */
export const DEFAULT_MAX_MAPS = 30_000;

/** One mapping with the ArrayBuffers that lie in it. Must not refer to any of them. */
interface Shared extends Address {
  readonly pool: MapPool;
  buffers: number;
}

/** Not the pool's own: what was read outlives the pool, and a registry that is collected forgets its tasks. */
const collected = new FinalizationRegistry<Shared>((mapping) => {
  if (--mapping.buffers === 0) mapping.pool.undo(mapping);
});

export class MapPool {
  private live = 0;

  constructor(
    private readonly files: MappedFiles,
    private readonly limit: number,
  ) {}

  /** Mappings that are alive now. */
  get count(): number {
    return this.live;
  }

  /**
   * `size` bytes behind the first `skip` ones at `offset` (a multiple of the page size) of the file, private to the
   * caller, for as long as any view on them lives. A lock of `fd` lives as long. undefined: read them instead.
   */
  mapPrivate(fd: number, offset: number, skip: number, size: number): StoredBytes | undefined {
    if (this.live >= this.limit) return undefined;
    const place = this.files.mapOnly(fd, skip + size, "private", false, offset);
    if (place === undefined) return undefined;
    this.live++;
    const mapping: Shared = { ...place, pool: this, buffers: 0 };
    let bytes: Uint8Array;
    try {
      bytes = new Uint8Array(this.part(mapping, skip, size));
    } catch {
      this.undo(mapping);
      return undefined; // a runtime that knows no memory but its own
    }
    const sub = (at: number, length: number): ArrayBuffer => {
      // Referring to `bytes` is what keeps the mapping until the new buffer does.
      if (!(at >= 0 && at + length <= bytes.byteLength)) {
        throw new RangeError(`bytes ${at} to ${at + length} are not in a value of ${bytes.byteLength}`);
      }
      return this.part(mapping, skip + at, length);
    };
    return { bytes, sub };
  }

  private part(mapping: Shared, offset: number, length: number): ArrayBuffer {
    const buffer = this.files.sub(mapping, offset, length);
    mapping.buffers++;
    collected.register(buffer, mapping);
    return buffer;
  }

  /** For the registry: the last buffer of the mapping was collected. */
  undo(mapping: Address): void {
    this.live--;
    this.files.unmap(mapping);
  }
}
