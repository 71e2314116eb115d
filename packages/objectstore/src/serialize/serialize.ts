/** `encode` and `decode`: values to bytes and back. The format is described in format.ts. */
import type { Encoded } from "./encoded.js";
import { Decoder, type DecodeOptions } from "./decoder.js";
import { Encoder } from "./encoder.js";
import { writeSpecial } from "./kinds.js";
import { readSpecial } from "./revive.js";

export interface EncodeOptions {
  /** What the value is called in error texts: `args`, `result`. Default `value`. */
  path?: string;
}

/** Kept between calls. Taken out while in use: an encode() of the user may encode something itself. */
let idle: Encoder | undefined;

/**
 * Encodes anything that structured clone takes, errors, instances of registered classes, objects with `[WIRE]()`
 * and Arrow data. Small values are copied at once; buffers of 1 KiB and more are only referred to until `bytes()`
 * or `writeTo()`, so call that before the source changes.
 * @throws SerializationError with the path to what can't be sent
 */
export function encode(value: unknown, options?: EncodeOptions): Encoded {
  const encoder = idle ?? new Encoder(writeSpecial);
  idle = undefined;
  try {
    return encoder.encode(value, options?.path ?? "value");
  } finally {
    idle = encoder;
  }
}

const DEFAULTS: DecodeOptions = {};

/**
 * The value that was encoded, all its own except for views if they are asked for. Untrusted bytes are safe: they
 * run no code but that of registered classes and types.
 * @throws SerializationError for malformed bytes, unknown classes, and what a codec throws
 */
export function decode(bytes: Uint8Array, options: DecodeOptions = DEFAULTS): unknown {
  return new Decoder(bytes, options, readSpecial).decode();
}
