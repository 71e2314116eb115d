/** Serialization of values, and shared memory to keep them in. */
export { encode, decode } from "./serialize/serialize.js";
export { WIRE, registerSerializer, registerWireType } from "./serialize/registry.js";
export type { EncodeOptions } from "./serialize/serialize.js";
export type { DecodeOptions } from "./serialize/decoder.js";
export type { Encoded } from "./serialize/encoded.js";
export type { WireForm, Revive, SerializerCodec } from "./serialize/registry.js";
export { StoreClient } from "./shm/client.js";
export { Slab } from "./shm/slab.js";
export { NodeStore } from "./shm/node-store.js";
export { storeRoot, defaultStoreDir, sweepDeadStores } from "./shm/root.js";
export type { StoreClientOptions } from "./shm/client.js";
export type { SlabOptions, SlabBlock } from "./shm/slab.js";
export type { NodeStoreOptions, ObjectStat } from "./shm/node-store.js";
export type { StorePlace } from "./shm/root.js";
