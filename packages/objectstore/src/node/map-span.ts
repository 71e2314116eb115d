/** An object's bytes for this process, mapped as any reader maps them: under a lock that keeps the file. */
import { closeSync, fstatSync } from "node:fs";
import type { StoreSpan } from "@stingray/protocol";
import { openIfThere, readAt } from "../shm/files.js";
import { HEADER_BYTES, readTag } from "../shm/header.js";
import type { MappedFiles } from "../shm/native.js";
import type { SharedBytes } from "./options.js";

/** undefined: it is not there any more. Without `files`: a copy. */
export function mapSpan(
  files: MappedFiles | undefined,
  [path, offset, length]: StoreSpan,
): SharedBytes | undefined {
  const fd = openIfThere(path);
  if (fd === undefined) return undefined;
  try {
    if (files?.lock(fd, "shared") === false || fstatSync(fd).size < offset + length) return undefined;
    const mapping = files?.map(fd, length, "private", false, offset);
    if (files === undefined || mapping === undefined) {
      const found = readAt(fd, offset, length);
      return { bytes: found.subarray(HEADER_BYTES), tag: readTag(found), release: () => undefined };
    }
    let released = false;
    return {
      bytes: new Uint8Array(mapping.buffer, HEADER_BYTES, length - HEADER_BYTES),
      tag: readTag(new Uint8Array(mapping.buffer, 0, HEADER_BYTES)),
      release: () => {
        if (!released) files.unmap(mapping);
        released = true;
      },
    };
  } finally {
    closeSync(fd);
  }
}
