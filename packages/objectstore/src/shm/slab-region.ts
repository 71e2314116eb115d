/** One leased file of a slab, mapped. */
import { closeSync, constants, openSync } from "node:fs";
import { dirname } from "node:path";
import { ObjectStoreFullError, type StoreRoom } from "@stingray/protocol";
import { fileSystemFull, noRoom } from "./files.js";
import { mappedFiles, type Address, type MappedFiles, type Mapping } from "./native.js";

export class SlabRegion {
  /** Bytes from the beginning that are cut off already. */
  used = 0;
  /** Blocks that are not freed. */
  live = 0;
  /** Its successor was asked for. */
  asked = false;

  private constructor(
    private readonly files: MappedFiles,
    private readonly mapping: Mapping,
    /** Its number at the agent. */
    readonly file: number,
  ) {}

  get buffer(): ArrayBuffer {
    return this.mapping.buffer;
  }

  /** @throws ObjectStoreFullError where there is no room for its pages, or for one more mapping */
  static async open(files: MappedFiles, room: StoreRoom, bytes: number): Promise<SlabRegion> {
    const dir = dirname(room.path);
    let fd: number;
    try {
      fd = openSync(room.path, constants.O_RDWR | (constants.O_NOFOLLOW ?? 0));
    } catch (thrown) {
      throw noRoom(thrown, dir, bytes) ?? thrown;
    }
    try {
      // All pages exist before one is written: a full file system must be an error, not a SIGBUS.
      const error = await files.allocateAsync(fd, 0, bytes);
      if (error !== 0) throw fileSystemFull(dir, bytes);
      const mapping = files.map(fd, bytes, "shared", true);
      if (mapping !== undefined) return new SlabRegion(files, mapping, room.file);
      throw new ObjectStoreFullError(
        `the system refused to map ${bytes} bytes of ${dir}: too many mappings, or no memory`,
      );
    } finally {
      closeSync(fd);
    }
  }

  /**
   * The file is not touched any more from here on. Views on it may still be held by mistake: the memory goes when
   * the last of them does.
   */
  end(): void {
    const { address, length, buffer } = this.mapping;
    this.files.retire({ address, length });
    unseen.register(buffer, { address, length });
  }
}

const unseen = new FinalizationRegistry<Address>((mapping) => mappedFiles()?.unmap(mapping));
