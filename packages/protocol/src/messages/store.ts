/** What a node's object store says of itself and of the objects in it. */
import { bool, list, number, oneOf, optional, record, text, tuple, uint, type Check } from "../check.js";
import { nodeId, objectId, processId } from "./id-checks.js";

/** Nodes that have an object whole, with their agents. */
export const copyList = list(tuple<[node: string, agent: string]>(nodeId, processId), 10_000);

/** Room for one object. */
export interface StoreRoom {
  /** Of the file to write; it gets the object's own name when it is complete. */
  path: string;
  /** Number of the file for as long as it exists, whatever its name is; 0: a file on disk. Mappings may be kept by it. */
  file: number;
  /** Bytes of the file: the header, the value, and what is left to the end of a page. */
  length: number;
  /** Its pages exist already: writing through a mapping is the fastest then. */
  warm: boolean;
}
export const storeRoom = record<StoreRoom>({ path: text, file: uint, length: uint, warm: bool });

/** An object that somebody wants to read, and where it is said to be. */
export interface StoreWanted {
  object: string;
  /** Bytes. */
  size: number;
  copies: [node: string, agent: string][];
}
export const storeWanted = record<StoreWanted>({ object: objectId, size: uint, copies: copyList });

/** Where an object lies on this node: a part of a file that begins, page-aligned, with the object's header. */
export type StoreSpan = [path: string, offset: number, length: number];
export const storeSpan = tuple<StoreSpan>(text, uint, uint);

/** How the data port of a node is reached. */
export interface DataAddress {
  /** Addresses to be tried in this order. */
  hosts: string[];
  port: number;
  /** Proves to the port that the caller is of the cluster. */
  key: string;
}
export const dataAddress = record<DataAddress>({ hosts: list(text, 64), port: uint, key: text });

/**
 * - `writing`: room is reserved; its writer is not done, or it is arriving from another node
 * - `memory`: in shared memory
 * - `spilled`: on disk, written there when memory was short
 * - `disk`: made on disk, because it did not fit into memory
 */
export const STORE_STATES = ["writing", "memory", "spilled", "disk"] as const;
export type StoreState = (typeof STORE_STATES)[number];

export interface StoredObject {
  object: string;
  /** Bytes. */
  size: number;
  state: StoreState;
  /** A copy of an object of another node, which may be dropped at any time. */
  copy: boolean;
  /** A process is reading it, or has a view on it. */
  pinned: boolean;
  /** Where in the program it was made, as far as known. */
  origin?: string | undefined;
  /** Milliseconds since it was created. */
  ageMs: number;
}
const storedObject = record<StoredObject>({
  object: objectId,
  size: uint,
  state: oneOf(...STORE_STATES),
  copy: bool,
  pinned: bool,
  origin: optional(text),
  ageMs: number,
});

/** Bytes unless said otherwise. */
export interface StoreFigures {
  capacity: number;
  /** Taken and reserved of it: objects, leases, and freed objects that a process still has views on. */
  used: number;
  /** Of it: leased to processes for their small values. */
  leased: number;
  /** Of it: freed, but still seen by some process. */
  lingering: number;
  /** Beside it: empty files kept warm for the next objects. They are given up before anything else. */
  warm: number;
  /** On disk: live spilled objects, and objects made on disk. */
  onDisk: number;
  /** Objects in all. */
  objects: number;
  /** Since the start: bytes written to disk for want of memory, and read back. */
  spilledTotal: number;
  restoredTotal: number;
  /** Since the start: bytes sent to and received from other nodes. */
  sentTotal: number;
  receivedTotal: number;
  /** Creations that wait for room. */
  waiting: number;
}
export const storeFigures = record<StoreFigures>({
  capacity: uint,
  used: uint,
  leased: uint,
  lingering: uint,
  warm: uint,
  onDisk: uint,
  objects: uint,
  spilledTotal: uint,
  restoredTotal: uint,
  sentTotal: uint,
  receivedTotal: uint,
  waiting: uint,
});

/** An object as its owner or a borrower knows it. */
export interface HeldObject {
  object: string;
  /** Bytes; 0 while unknown. */
  size: number;
  state: "pending" | "inline" | "slab" | "stored" | "error";
  owned: boolean;
  /** References in the process. */
  handles: number;
  /** Calls and transfers that need it. */
  pins: number;
  /** Processes that borrow it. */
  borrowers: number;
}
const heldObject = record<HeldObject>({
  object: objectId,
  size: uint,
  state: oneOf("pending", "inline", "slab", "stored", "error"),
  owned: bool,
  handles: uint,
  pins: uint,
  borrowers: uint,
});

export interface ProcessMemory {
  process: string;
  pid: number;
  owned: number;
  borrowed: number;
  /** Bytes of small values in its own memory, and in its leases. */
  inlineBytes: number;
  slabBytes: number;
  objects: HeldObject[];
}
export const processMemory = record<ProcessMemory>({
  process: processId,
  pid: uint,
  owned: uint,
  borrowed: uint,
  inlineBytes: uint,
  slabBytes: uint,
  objects: list(heldObject),
});

export interface StoreListing {
  figures: StoreFigures;
  objects: StoredObject[];
  /** Objects beyond the limit, and their bytes. */
  more: number;
  moreBytes: number;
  /** The workers of this node and the drivers that it serves. */
  processes: ProcessMemory[];
  /** Processes that did not answer in time. */
  silent: string[];
}
export const storeListing: Check<StoreListing> = record<StoreListing>({
  figures: storeFigures,
  objects: list(storedObject),
  more: uint,
  moreBytes: uint,
  processes: list(processMemory),
  silent: list(processId),
});
