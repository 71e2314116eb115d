/** The private mappings of this process: counted, and undone when nothing refers to their memory any more. */
import type { Address, MappedFiles } from "./native.js";
import { SpareMap } from "./spare-map.js";
import type { StoredBytes } from "./stored-bytes.js";

/** Linux allows 65,530 mappings in a process; V8 and malloc need some of them. */
export const DEFAULT_MAX_MAPS = 30_000;

/** One mapping with the ArrayBuffers that lie in it. Must not refer to any of them. */
interface Shared extends Address {
  readonly pool: MapPool;
  buffers: number;
}

interface Made {
  readonly shared: Shared;
  readonly bytes: Uint8Array;
}

/** Not the pool's own: what was read outlives the pool, and a registry that is collected forgets its tasks. */
const collected = new FinalizationRegistry<Shared>((mapping) => {
  if (--mapping.buffers === 0) mapping.pool.undo(mapping);
});

export class MapPool {
  private live = 0;
  private readonly spare: SpareMap;

  constructor(
    private readonly files: MappedFiles,
    private readonly limit: number,
  ) {
    this.spare = new SpareMap(files);
  }

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
    const mapping = this.fromSpare(fd, offset, skip, size) ?? this.fresh(fd, offset, skip, size);
    if (mapping === undefined) return undefined;
    this.spare.used(skip, size);
    const { shared, bytes } = mapping;
    const sub = (at: number, length: number): ArrayBuffer => {
      // Referring to `bytes` is what keeps the mapping until the new buffer does.
      if (!(at >= 0 && at + length <= bytes.byteLength)) {
        throw new RangeError(`bytes ${at} to ${at + length} are not in a value of ${bytes.byteLength}`);
      }
      return this.part(shared, skip + at, length);
    };
    return { bytes, sub };
  }

  /** No spare memory is kept any more. What was read stays valid. */
  close(): void {
    this.spare.close();
  }

  private fromSpare(fd: number, offset: number, skip: number, size: number): Made | undefined {
    const spare = this.spare.take(skip, size);
    if (spare === undefined || !this.files.mapAt(spare.place, fd, offset)) return undefined;
    const shared = this.share(spare.place);
    return { shared, bytes: new Uint8Array(this.attach(shared, spare.buffer)) };
  }

  private fresh(fd: number, offset: number, skip: number, size: number): Made | undefined {
    const place = this.files.mapOnly(fd, skip + size, "private", false, offset);
    if (place === undefined) return undefined;
    const shared = this.share(place);
    try {
      return { shared, bytes: new Uint8Array(this.part(shared, skip, size)) };
    } catch {
      this.undo(shared);
      return undefined; // a runtime that knows no memory but its own
    }
  }

  private share(place: Address): Shared {
    this.live++;
    return { ...place, pool: this, buffers: 0 };
  }

  private part(mapping: Shared, offset: number, length: number): ArrayBuffer {
    return this.attach(mapping, this.files.sub(mapping, offset, length));
  }

  /** The mapping lives until this buffer, and every other one that was given to it, is collected. */
  private attach(mapping: Shared, buffer: ArrayBuffer): ArrayBuffer {
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
