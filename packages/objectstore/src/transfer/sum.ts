/**
 * The checksum of a chunk: the 128-bit Poly1305 tag of its bytes under a key that everybody knows. It guards against
 * damage, not against people (who can't get onto a connection without the port's key). Two different chunks have the
 * same one with a chance below 2^-80, against 2^-32 of a CRC-32, and it takes half the time (10 against 4.9 GB/s).
 * Being the same on every connection, it is computed once and passed on with the chunk.
 */
import { createCipheriv } from "node:crypto";

/** Bytes of a checksum. */
export const SUM_BYTES = 16;
const KEY = Buffer.from("stingray object store chunk sum1", "latin1");
const NONCE = Buffer.alloc(12);
const OPTIONS = { authTagLength: SUM_BYTES } as const;

/** {@link SUM_BYTES} bytes. */
export function chunkSum(bytes: Uint8Array): Buffer {
  const mac = createCipheriv("chacha20-poly1305", KEY, NONCE, OPTIONS);
  mac.setAAD(bytes, { plaintextLength: 0 });
  mac.final();
  return mac.getAuthTag();
}
