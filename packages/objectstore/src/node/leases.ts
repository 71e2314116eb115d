/** Files that processes have for their small values: given, taken back, and gone with the process. */
import type { StoreRoom } from "@stingray/protocol";
import { allocatePages } from "./arrival.js";
import type { Core } from "./core.js";
import type { Rooms } from "./rooms.js";
import { PAGE, type Segment } from "./segment.js";

interface Lease {
  readonly segment: Segment;
  readonly client: string;
}

export class Leases {
  private readonly leases = new Map<number, Lease>();
  private total = 0;

  constructor(
    private readonly core: Core,
    private readonly rooms: Rooms,
  ) {}

  /** Bytes. */
  get bytes(): number {
    return this.total;
  }

  /**
   * A file of at least so many bytes, with all its pages.
   * @throws ObjectStoreFullError; ConnectionError if the client has ended
   */
  async lease(client: string, bytes: number): Promise<StoreRoom> {
    const length = Math.max(1, Math.ceil(bytes / PAGE)) * PAGE;
    const segment = await this.rooms.memory(length, client, () => this.take(length, client));
    const { path, file } = segment;
    return { path, file, length: segment.length, warm: true };
  }

  /** The client will not write to these files any more. What is not leased to it is passed over. */
  giveBack(client: string, files: readonly number[]): void {
    for (const file of files) {
      const lease = this.leases.get(file);
      if (lease?.client !== client) continue;
      this.forget(lease);
      this.core.pool.giveBack(lease.segment);
    }
  }

  /** A leased file has become an object's: it is not leased any more. undefined: it is not leased to this client. */
  takeOut(client: string, file: number): Segment | undefined {
    const lease = this.leases.get(file);
    if (lease?.client !== client) return undefined;
    this.forget(lease);
    return lease.segment;
  }
  /** The lease of the file with this inode. */
  findByInode(ino: number): { client: string; file: number } | undefined {
    for (const { segment, client } of this.leases.values())
      if (segment.ino === ino) return { client, file: segment.file };
    return undefined;
  }

  clientDied(client: string): void {
    for (const lease of this.leases.values()) {
      if (lease.client !== client) continue;
      this.forget(lease);
      // Should it live on somewhere, it writes to a file that nobody has any more.
      this.core.pool.discard(lease.segment);
    }
  }

  private async take(length: number, client: string): Promise<Segment> {
    this.rooms.checkClient(client);
    const { pool } = this.core;
    const { segment, warm, cleared } = pool.take(length, client);
    const lease: Lease = { segment, client };
    this.leases.set(segment.file, lease);
    this.total += segment.length;
    try {
      await cleared;
      if (!warm) await this.allocate(segment);
    } catch (thrown) {
      if (this.leases.get(segment.file) === lease) {
        this.forget(lease);
        pool.discard(segment);
      }
      this.rooms.checkClient(client); // its file was taken away under it
      throw thrown;
    }
    this.rooms.checkClient(client); // then it is not leased any more
    return segment;
  }

  private async allocate(segment: Segment): Promise<void> {
    try {
      await allocatePages(this.core, segment.path, segment.length);
    } catch {
      await this.core.pool.cool(); // the file system may have less room than this store believes
      await allocatePages(this.core, segment.path, segment.length);
    }
    segment.allocated = true;
  }

  private forget({ segment }: Lease): void {
    this.leases.delete(segment.file);
    this.total -= segment.length;
  }
}
