/** The mappings of this process: counted, and undone when nothing refers to their memory any more. */
import type { Address, MappedFiles } from "./native.js";

/** Linux allows 65,530 mappings in a process; V8 and malloc need some of them. */
export const DEFAULT_MAX_MAPS = 30_000;

export class MapPool {
  private live = 0;
  private readonly registry: FinalizationRegistry<Address>;

  constructor(
    private readonly files: MappedFiles,
    private readonly limit: number,
  ) {
    this.registry = new FinalizationRegistry((address) => {
      this.live--;
      files.unmap(address);
    });
  }

  /** Mappings that are alive now. */
  get count(): number {
    return this.live;
  }

  /** The file's contents, private to the caller, for as long as any view on the result lives. undefined: read it instead. */
  mapPrivate(fd: number, length: number): ArrayBuffer | undefined {
    if (this.live >= this.limit) return undefined;
    const mapping = this.files.map(fd, length, "private");
    if (mapping === undefined) return undefined;
    const { buffer, address } = mapping;
    this.live++;
    this.registry.register(buffer, { address, length });
    return buffer;
  }
}
