/**
 * The checksum of a chunk: the 128-bit GMAC of its bytes under a key that everybody knows. It guards against damage,
 * not against people (who can't get onto a connection without the port's key). Against damage it is at least as
 * strong as a CRC of twice its width would be, and processors have instructions for it: about twice as fast as CRC-32.
 * Being the same on every connection, it is computed once and passed on with the chunk.
 */
import { createCipheriv } from "node:crypto";

/** Bytes of a checksum. */
export const SUM_BYTES = 16;
const KEY = Buffer.from("stingray chunk 1", "latin1");
const NONCE = Buffer.alloc(12);

/** {@link SUM_BYTES} bytes. */
export function chunkSum(bytes: Uint8Array): Buffer {
  const mac = createCipheriv("aes-128-gcm", KEY, NONCE);
  mac.setAAD(bytes);
  mac.final();
  return mac.getAuthTag();
}
