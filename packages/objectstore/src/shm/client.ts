/** A process's view of the store of its node: writes files that the agent gave room for, reads those that are there. */
import { closeSync, fstatSync } from "node:fs";
import { stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { InvalidArgumentError } from "@stingray/protocol";
import type { Encoded } from "../serialize/encoded.js";
import { checkObjectName, openIfThere, readAt, writeWhole } from "./files.js";
import { DEFAULT_MAX_MAPS, MapPool } from "./map-pool.js";
import { mappedFiles } from "./native.js";

/** Smaller files are read: that is cheaper than a mapping. Bytes. */
const MAP_FROM = 64 * 1024;

export interface StoreClientOptions {
  /** The directory of the node's store. */
  dir: string;
  /** Values are copied instead of mapped while this process has so many mappings. Default 30,000. */
  maxMaps?: number;
}

export class StoreClient {
  private closed = false;

  private constructor(
    readonly dir: string,
    private readonly pool: MapPool | undefined,
  ) {}

  /** @throws InvalidArgumentError if there is no such directory */
  static async open(options: StoreClientOptions): Promise<StoreClient> {
    const dir = resolve(options.dir);
    const found = await stat(dir).catch(() => undefined);
    if (found?.isDirectory() !== true) {
      throw new InvalidArgumentError(`there is no object store at ${dir}: its node agent creates it`);
    }
    const files = mappedFiles();
    const pool = files && new MapPool(files, options.maxMaps ?? DEFAULT_MAX_MAPS);
    return new StoreClient(dir, pool);
  }

  /** Mappings that are alive in this process through this client. */
  get maps(): number {
    return this.pool?.count ?? 0;
  }

  /**
   * Writes the value to the path that `store.create` gave. It appears there when it is complete.
   * @throws ObjectStoreFullError if the file system is full
   */
  writeFile(path: string, encoded: Encoded): void {
    this.check(path);
    writeWhole(path, encoded.parts, encoded.size);
  }

  /**
   * The encoded bytes of an object of this node, the caller's own: writing into them is seen by nobody else. The
   * memory stays valid while any view on it lives, also after the object was freed.
   * undefined: it is not here, or not (any more) of the given size.
   */
  read(objectId: string, size?: number): Uint8Array | undefined {
    checkObjectName(objectId);
    return this.readPath(join(this.dir, objectId), size);
  }

  /** As `read`, for a path that `store.pull` gave. */
  readPath(path: string, size?: number): Uint8Array | undefined {
    this.check(path);
    const fd = openIfThere(path);
    if (fd === undefined) return undefined;
    try {
      const length = fstatSync(fd).size;
      if (size !== undefined && length !== size) return undefined;
      if (length >= MAP_FROM) {
        const buffer = this.pool?.mapPrivate(fd, length);
        if (buffer !== undefined) return new Uint8Array(buffer);
      }
      return readAt(fd, 0, length);
    } finally {
      closeSync(fd);
    }
  }

  /** A copy of part of a file, such as a block of another process's slab. undefined: it is not there whole. */
  readBlock(path: string, offset: number, length: number): Uint8Array | undefined {
    this.check(path);
    const fd = openIfThere(path);
    if (fd === undefined) return undefined;
    try {
      const bytes = readAt(fd, offset, length);
      return bytes.length === length ? bytes : undefined;
    } finally {
      closeSync(fd);
    }
  }

  /** Ends reading and writing. What was read stays valid. */
  close(): void {
    this.closed = true;
  }

  private check(path: string): void {
    if (this.closed) throw new InvalidArgumentError(`the store client of ${this.dir} is closed`);
    if (dirname(resolve(path)) !== this.dir) {
      throw new InvalidArgumentError(`${path} is not in the object store at ${this.dir}`);
    }
  }
}
