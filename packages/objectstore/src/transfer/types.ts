/** What the transfer of bytes needs from the stores at both ends, and from the links between processes. */
import type { DataAddress } from "@stingray/protocol";
import type { ChunkMap } from "./chunks.js";

/** An object, or what is here of it, that is sent. */
export interface Outgoing {
  /** Bytes of the whole object. */
  readonly size: number;
  /** Of the object, where it is here whole: 16 hexadecimal digits. What is still arriving has it in `chunks`. */
  readonly tag?: string | undefined;
  /** Which chunks are here, of an object that is still arriving. Default: all of them. */
  readonly chunks?: ChunkMap | undefined;
  /** The bytes where they lie, if they are here already. They must not change before `close`. */
  read(offset: number, length: number): Uint8Array | undefined;
  /** Nothing of it is read, or on its way to the kernel, any more. Called once. */
  close(): void;
}

/** Room for an object that arrives. */
export interface Incoming {
  /** Bytes of the whole object. */
  readonly size: number;
  /** Where these bytes are to be put: memory that readers will see. May be written until the transfer has ended. */
  window(offset: number, length: number): Uint8Array;
  /** What arrives has this tag. Called once, if ever. */
  tagged?(tag: string): void;
  /** They are there, and their checksum was right. */
  arrived(offset: number, length: number): void;
  /** Uploads only: has `listener` called once it takes no more. When that has returned nothing is written to a window. */
  whenEnded?(listener: () => void): void;
  /** Uploads only: no more will come. `complete`: everything has arrived. Called once. */
  close?(complete: boolean): void;
}

/** A piece of an object, as `store.read` answers. */
export interface Piece {
  readonly bytes: Uint8Array;
  /** Of the whole object. */
  readonly size: number;
  /** CRC-32 of `bytes`. */
  readonly crc: number;
  /** Of the object, as in {@link Outgoing}. */
  readonly tag?: string | undefined;
}

/** Somebody who has the object, or is to get it. */
export interface Source {
  /** The node or agent: in errors, and to tell sources apart. */
  readonly name: string;
  /** Where its data port is. undefined, or nobody reachable there: `read` and `write` are used. */
  address(): Promise<DataAddress | undefined>;
  /** The same over the RPC links, at most {@link PIECE_BYTES} at a time. Rejects where the source has no copy: ObjectLostError if for good. */
  read(offset: number, length: number): Promise<Piece>;
  /** Needed for uploads only. */
  write?(offset: number, bytes: Uint8Array, crc: number): Promise<unknown>;
}

/** Bytes of a piece that goes over the RPC links. */
export const PIECE_BYTES = 512 * 1024;

/** Somebody who is pulling an object, or has just done so, and may be asked for what it has. */
export interface Holder {
  readonly name: string;
  readonly address: DataAddress;
}
