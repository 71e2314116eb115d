/** A process's view of the store of its node: writes objects into room that the agent gave, reads those that are there. */
import { stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { InvalidArgumentError, type StoreRoom, type StoreSpan } from "@stingray/protocol";
import type { Encoded } from "../serialize/encoded.js";
import { checkObjectName } from "./files.js";
import { DEFAULT_MAX_MAPS, MapPool } from "./map-pool.js";
import { mappedFiles } from "./native.js";
import { readObject, type ReaderMaps } from "./reader.js";
import type { StoredBytes } from "./stored-bytes.js";
import { WriteMaps, type WriteMapsOptions } from "./write-maps.js";
import { writeObject } from "./writer.js";

export interface StoreClientOptions {
  /** The directory of the node's store. */
  dir: string;
  /** Values are copied instead of mapped while this process has so many mappings. Default 30,000. */
  maxMaps?: number;
  /** What is kept of the files that this process writes. */
  writeMaps?: WriteMapsOptions;
}

export class StoreClient {
  private closed = false;

  private constructor(
    readonly dir: string,
    private readonly readMaps: ReaderMaps | undefined,
    private readonly writeMaps: WriteMaps | undefined,
  ) {}

  /** @throws InvalidArgumentError if there is no such directory */
  static async open(options: StoreClientOptions): Promise<StoreClient> {
    const dir = resolve(options.dir);
    const found = await stat(dir).catch(() => undefined);
    if (found?.isDirectory() !== true) {
      throw new InvalidArgumentError(`there is no object store at ${dir}: its node agent creates it`);
    }
    const files = mappedFiles();
    if (files === undefined) return new StoreClient(dir, undefined, undefined);
    const pool = new MapPool(files, options.maxMaps ?? DEFAULT_MAX_MAPS);
    return new StoreClient(dir, { files, pool }, new WriteMaps(files, options.writeMaps));
  }

  /** Mappings of objects that are alive in this process through this client. */
  get maps(): number {
    return this.readMaps?.pool.count ?? 0;
  }
  /** Mappings kept for writing. */
  get writeMapCount(): number {
    return this.writeMaps?.count ?? 0;
  }

  /**
   * Writes an object into the room that `store.create` gave, and gives the file its name. Synchronous: the value is
   * the one of this moment.
   * @throws ObjectStoreFullError if the file system is full; ObjectLostError if the object was freed meanwhile;
   * InvalidArgumentError for a room that is none or too small
   */
  write(room: StoreRoom, object: string, encoded: Encoded): void {
    this.checkOpen();
    writeObject(this.dir, room, object, encoded, this.writeMaps);
  }

  /**
   * An object in this node's memory. undefined: it is not here, or not (any more) of the given size; ask the agent.
   * @throws ObjectLostError, with `detail.reason` "damaged", where its file was changed
   */
  read(objectId: string, size?: number): StoredBytes | undefined {
    this.checkOpen();
    checkObjectName(objectId);
    const path = join(this.dir, objectId);
    return readObject({ path, object: objectId, size, touch: true }, this.readMaps);
  }

  /** As `read`, where `store.open` said that it lies: in memory, or in a file on disk. */
  readSpan([path, offset]: StoreSpan, objectId: string, size: number): StoredBytes | undefined {
    this.checkOpen();
    const touch = dirname(path) === this.dir;
    return readObject({ path, offset, object: objectId, size, touch }, this.readMaps);
  }

  /** Ends reading and writing. What was read stays valid. */
  close(): void {
    this.closed = true;
    this.readMaps?.pool.close();
    this.writeMaps?.close();
  }

  private checkOpen(): void {
    if (this.closed) throw new InvalidArgumentError(`the store client of ${this.dir} is closed`);
  }
}
