/**
 * Mapped and locked files, the little of libc that the store needs. One interface, so that the `node:ffi` of later
 * Node versions can take the place of koffi without a change elsewhere.
 */
import { createRequire } from "node:module";
import { markAsUntransferable } from "node:worker_threads";
import type * as KoffiModule from "koffi";
import { InvalidArgumentError } from "@stingray/protocol";

export interface MappedFiles {
  /**
   * Maps `length` bytes of an open file from `offset` (a multiple of the page size, default 0). `private`: writes are
   * seen by this mapping only (copy-on-write); `shared`: they go to the file. `populate`: touch all pages now.
   * undefined: the system refused (out of mappings or memory).
   */
  map(fd: number, length: number, mode: MapMode, populate?: boolean, offset?: number): Mapping | undefined;
  /** As `map`, without a view on it: those are made with `sub`. */
  mapOnly(
    fd: number,
    length: number,
    mode: MapMode,
    populate?: boolean,
    offset?: number,
  ): Address | undefined;
  /** Addresses with nothing behind them, for `mapAt`. Not to be read or written before. */
  reserve(length: number): Address | undefined;
  /** As `mapOnly`, privately, in place of what is at these addresses. False: refused; they must not be used any more. */
  mapAt(place: Address, fd: number, offset: number): boolean;
  /**
   * An ArrayBuffer that is exactly these bytes of a mapping, from `offset` (default 0) on, `length` of them (default
   * the rest). It does not keep the mapping: see to it that `unmap` comes after the end of every such buffer.
   * @throws InvalidArgumentError for a part that is not in the mapping
   */
  sub(mapping: Address, offset?: number, length?: number): ArrayBuffer;
  unmap(mapping: Address): void;
  /**
   * Lets go of the file, while views on the mapping may be about by mistake: they see zeros from now on, instead of
   * what the file is used for next. `unmap` is due as before.
   */
  retire(mapping: Address): void;
  /** Makes the file `length` bytes long with all of its pages allocated. Returns the system's error number, 0: done. */
  allocate(fd: number, length: number): number;
  /**
   * As `allocate` for the bytes from `offset` to `offset + length`, in another thread. The descriptor must stay open
   * until then. Never rejects.
   */
  allocateAsync(fd: number, offset: number, length: number): Promise<number>;
  /**
   * Locks the open file without waiting; a lock that this descriptor has already is changed into the new one. False:
   * others have a lock that excludes it. The lock lives as long as the descriptor, its duplicates and every mapping
   * that was made with it.
   * @throws InvalidArgumentError where the file system knows no locks
   */
  lock(fd: number, kind: "shared" | "exclusive"): boolean;
  /** Gives back a lock of this descriptor, also where mappings would go on holding it. */
  unlock(fd: number): void;
}

export type MapMode = "private" | "shared";

/** What `unmap` needs. Holds nothing alive. */
export interface Address {
  readonly address: bigint;
  readonly length: number;
}
export interface Mapping extends Address {
  readonly buffer: ArrayBuffer;
}

const PROT_NONE = 0;
const PROT_READ_WRITE = 3;
const MAP_SHARED = 1;
const MAP_PRIVATE = 2;
const MAP_FIXED = 0x10;
const MAP_ANONYMOUS = 0x20;
const MAP_NORESERVE = 0x4000;
const MAP_POPULATE = 0x8000;
const MAP_FAILED = (1n << 64n) - 1n;
const MADV_HUGEPAGE = 14;
const LOCK_SHARED = 1;
const LOCK_EXCLUSIVE = 2;
const LOCK_NO_WAIT = 4;
const LOCK_NONE = 8;
const EINTR = 4;
const EWOULDBLOCK = 11;
const ENOMEM = 12;
/** Below this, huge pages can't be of use. Bytes. */
const HUGE_FROM = 4 * 1024 * 1024;

type Koffi = typeof KoffiModule;
let loaded: MappedFiles | null | undefined;

/** undefined where files can't be mapped (no Linux, no prebuilt koffi): the store then reads and writes plain files. */
export function mappedFiles(): MappedFiles | undefined {
  if (loaded === undefined) loaded = load() ?? null;
  return loaded ?? undefined;
}

/** The functions of libc as koffi gives them. Pointers are numbers, so that nothing is allocated for a call. */
interface Libc {
  mmap(
    addr: number | bigint,
    length: number,
    prot: number,
    flags: number,
    fd: number,
    offset: number,
  ): bigint;
  munmap(addr: bigint, length: number): number;
  madvise(addr: bigint, length: number, advice: number): number;
  flock(fd: number, operation: number): number;
  fallocate: ((fd: number, offset: number, length: number) => number) & {
    async(
      fd: number,
      offset: number,
      length: number,
      done: (failed: Error | null, error: number) => void,
    ): void;
  };
}

function load(): MappedFiles | undefined {
  if (process.platform !== "linux" || process.env["STINGRAY_NO_MMAP"] === "1") return undefined;
  let koffi: Koffi;
  try {
    koffi = createRequire(import.meta.url)("koffi") as Koffi;
  } catch {
    return undefined; // an architecture without a prebuilt binary
  }
  return new LinuxFiles(koffi, bind(koffi));
}

function bind(koffi: Koffi): Libc {
  const libc = koffi.load(null);
  const get = <T>(definition: string): T => libc.func(definition) as unknown as T;
  return {
    mmap: get("void *mmap(intptr_t addr, size_t length, int prot, int flags, int fd, int64_t offset)"),
    munmap: get("int munmap(uintptr_t addr, size_t length)"),
    madvise: get("int madvise(uintptr_t addr, size_t length, int advice)"),
    flock: get("int flock(int fd, int operation)"),
    fallocate: get("int posix_fallocate(int fd, int64_t offset, int64_t length)"),
  };
}

class LinuxFiles implements MappedFiles {
  constructor(
    private readonly koffi: Koffi,
    private readonly libc: Libc,
  ) {}

  map(fd: number, length: number, mode: MapMode, populate = false, offset = 0): Mapping | undefined {
    const mapping = this.mapOnly(fd, length, mode, populate, offset);
    return mapping && { ...mapping, buffer: this.sub(mapping) };
  }

  mapOnly(fd: number, length: number, mode: MapMode, populate = false, offset = 0): Address | undefined {
    const flags = (mode === "shared" ? MAP_SHARED : MAP_PRIVATE) | (populate ? MAP_POPULATE : 0);
    const address = this.mmap(0, length, PROT_READ_WRITE, flags, fd, offset);
    if (address === undefined) return undefined;
    // Most systems do not allow it for shared memory; then this does nothing.
    if (mode === "shared" && length >= HUGE_FROM) this.libc.madvise(address, length, MADV_HUGEPAGE);
    return { address, length };
  }

  reserve(length: number): Address | undefined {
    const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    const address = this.mmap(0, length, PROT_NONE, flags, -1, 0);
    return address === undefined ? undefined : { address, length };
  }

  mapAt({ address, length }: Address, fd: number, offset: number): boolean {
    return this.mmap(address, length, PROT_READ_WRITE, MAP_PRIVATE | MAP_FIXED, fd, offset) !== undefined;
  }

  private mmap(...args: Parameters<Libc["mmap"]>): bigint | undefined {
    const address = BigInt.asUintN(64, this.libc.mmap(...args));
    return address === MAP_FAILED ? undefined : address;
  }

  sub(mapping: Address, offset = 0, length = mapping.length - offset): ArrayBuffer {
    if (!(offset >= 0 && length >= 0 && offset + length <= mapping.length)) {
      throw new InvalidArgumentError(
        `bytes ${offset} to ${offset + length} are not in a mapping of ${mapping.length}: ask for a part of it`,
      );
    }
    const buffer = this.koffi.view(mapping.address + BigInt(offset), length);
    pin(buffer);
    return buffer;
  }

  unmap({ address, length }: Address): void {
    this.libc.munmap(address, length);
  }

  retire({ address, length }: Address): void {
    const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE;
    this.mmap(address, length, PROT_READ_WRITE, flags, -1, 0);
  }

  allocate(fd: number, length: number): number {
    let error: number;
    do error = this.libc.fallocate(fd, 0, length);
    while (error === EINTR);
    return error;
  }

  async allocateAsync(fd: number, offset: number, length: number): Promise<number> {
    let error: number;
    do {
      error = await new Promise<number>((resolve, reject) => {
        this.libc.fallocate.async(fd, offset, length, (failed, result) => {
          if (failed === null || failed === undefined) resolve(result);
          else reject(failed);
        });
      }).catch(() => ENOMEM); // koffi has no memory or place for one more call in the background
    } while (error === EINTR);
    return error;
  }

  lock(fd: number, kind: "shared" | "exclusive"): boolean {
    const operation = (kind === "shared" ? LOCK_SHARED : LOCK_EXCLUSIVE) | LOCK_NO_WAIT;
    while (this.libc.flock(fd, operation) !== 0) {
      const error = this.koffi.errno();
      if (error === EWOULDBLOCK) return false;
      if (error === EINTR) continue;
      throw new InvalidArgumentError(
        `a file of the object store can't be locked (error ${error} of flock): use a directory in /dev/shm or on a local disk`,
        { detail: { errno: error } },
      );
    }
    return true;
  }

  unlock(fd: number): void {
    this.libc.flock(fd, LOCK_NONE);
  }
}

/**
 * Node 20 moves such a buffer unless it is marked. Later versions refuse by themselves, and there the mark would
 * abort the process at its end: it cleans up by detaching, which marked buffers refuse (seen with 24.21).
 */
const MUST_MARK = Number.parseInt(process.versions.node, 10) < 22;

/** The memory must not outlive its ArrayBuffer object, whose end is what unmaps it: so it can't be moved to another. */
function pin(buffer: ArrayBuffer): void {
  if (MUST_MARK) markAsUntransferable(buffer);
  for (const name of ["transfer", "transferToFixedLength"]) {
    if (!(name in buffer)) continue;
    Object.defineProperty(buffer, name, {
      value: () => {
        throw new TypeError("this ArrayBuffer is mapped memory and can't be transferred; use slice()");
      },
    });
  }
}
