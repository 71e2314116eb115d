/** What a file says of itself. */
import { closeSync, readSync } from "node:fs";
import { ObjectLostError } from "@stingray/protocol";
import { openIfThere } from "../shm/files.js";
import { HEADER_BYTES, readHeader, type Header } from "../shm/header.js";

/** undefined: it is not there, or it is no object's file. */
export function headerAt(path: string): Header | undefined {
  const fd = openIfThere(path);
  if (fd === undefined) return undefined;
  try {
    const bytes = new Uint8Array(HEADER_BYTES);
    return readHeader(bytes.subarray(0, readSync(fd, bytes, 0, HEADER_BYTES, 0)), path);
  } catch (thrown) {
    if (thrown instanceof ObjectLostError) return undefined;
    throw thrown;
  } finally {
    closeSync(fd);
  }
}
