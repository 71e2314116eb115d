/**
 * Mapped files, the little of libc that the store needs. One interface, so that the `node:ffi` of later Node
 * versions can take the place of koffi without a change elsewhere.
 */
import { createRequire } from "node:module";
import { markAsUntransferable } from "node:worker_threads";
import type * as KoffiModule from "koffi";

export interface MappedFiles {
  /**
   * Maps `length` bytes of an open file from its beginning. `private`: writes are seen by this mapping only
   * (copy-on-write); `shared`: they go to the file. `populate`: touch all pages now.
   * undefined: the system refused (out of mappings or memory).
   */
  map(fd: number, length: number, mode: "private" | "shared", populate?: boolean): Mapping | undefined;
  unmap(mapping: Address): void;
  /** Makes the file `length` bytes long with all of its pages allocated. Returns the system's error number, 0: done. */
  allocate(fd: number, length: number): number;
}

/** What `unmap` needs. Holds nothing alive. */
export interface Address {
  readonly address: bigint;
  readonly length: number;
}
export interface Mapping extends Address {
  readonly buffer: ArrayBuffer;
}

const PROT_READ_WRITE = 3;
const MAP_SHARED = 1;
const MAP_PRIVATE = 2;
const MAP_POPULATE = 0x8000;
const MAP_FAILED = (1n << 64n) - 1n;

type Koffi = typeof KoffiModule;
let loaded: MappedFiles | null | undefined;

/** undefined where files can't be mapped (no Linux, no prebuilt koffi): the store then reads and writes plain files. */
export function mappedFiles(): MappedFiles | undefined {
  if (loaded === undefined) loaded = load() ?? null;
  return loaded ?? undefined;
}

function load(): MappedFiles | undefined {
  if (process.platform !== "linux" || process.env["STINGRAY_NO_MMAP"] === "1") return undefined;
  let koffi: Koffi;
  try {
    koffi = createRequire(import.meta.url)("koffi") as Koffi;
  } catch {
    return undefined; // an architecture without a prebuilt binary
  }
  const libc = koffi.load(null);
  const mmap = libc.func(
    "void *mmap(intptr_t addr, size_t length, int prot, int flags, int fd, int64_t offset)",
  ) as unknown as (
    addr: number,
    length: number,
    prot: number,
    flags: number,
    fd: number,
    at: number,
  ) => bigint;
  const munmap = libc.func("int munmap(uintptr_t addr, size_t length)") as unknown as (
    addr: bigint,
    length: number,
  ) => number;
  const fallocate = libc.func("int posix_fallocate(int fd, int64_t offset, int64_t length)") as unknown as (
    fd: number,
    offset: number,
    length: number,
  ) => number;
  return {
    map(fd, length, mode, populate = false) {
      const flags = (mode === "shared" ? MAP_SHARED : MAP_PRIVATE) | (populate ? MAP_POPULATE : 0);
      const address = mmap(0, length, PROT_READ_WRITE, flags, fd, 0);
      if (BigInt.asUintN(64, address) === MAP_FAILED) return undefined;
      const buffer = koffi.view(address, length);
      pin(buffer);
      return { address, length, buffer };
    },
    unmap({ address, length }) {
      munmap(address, length);
    },
    allocate: (fd, length) => fallocate(fd, 0, length),
  };
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
