/** Serialization of values, and shared memory to keep them in. */
export { encode, decode } from "./serialize/serialize.js";
export { WIRE, registerSerializer, registerWireType } from "./serialize/registry.js";
export type { EncodeOptions } from "./serialize/serialize.js";
export type { DecodeOptions } from "./serialize/decoder.js";
export type { Encoded } from "./serialize/encoded.js";
export type { WireForm, Revive, SerializerCodec } from "./serialize/registry.js";
