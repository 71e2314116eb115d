/** The way of bytes where no data port can be reached: pieces over the RPC links, each with its CRC-32. */
import { crc32 } from "node:zlib";
import { ProtocolError } from "@stingray/protocol";
import { CHUNK_BYTES, chunkLength } from "./chunks.js";
import { within } from "./deadline.js";
import { PIECE_BYTES, type Source } from "./types.js";

export interface ReadChunk {
  readonly bytes: Uint8Array;
  readonly tag: string | undefined;
}

/**
 * A chunk, in pieces that are asked for all at once.
 * @throws ProtocolError for one that is damaged or of another object; TimeoutError; what `source.read` rejects with
 */
export async function readChunk(
  source: Source,
  size: number,
  index: number,
  timeoutMs: number,
): Promise<ReadChunk> {
  const start = index * CHUNK_BYTES;
  const chunk = new Uint8Array(chunkLength(size, index));
  const tags = new Set<string | undefined>();
  const reads: Promise<void>[] = [];
  for (let at = 0; at < chunk.length; at += PIECE_BYTES) {
    const length = Math.min(PIECE_BYTES, chunk.length - at);
    const read = async (): Promise<void> => {
      const what = `${source.name} to send bytes ${start + at} … ${start + at + length}`;
      const piece = await within(source.read(start + at, length), timeoutMs, what);
      if (piece.size !== size)
        throw new ProtocolError(`${source.name} has a copy of ${piece.size} bytes, not ${size}`);
      if (piece.bytes.length !== length || crc32(piece.bytes) !== piece.crc)
        throw new ProtocolError(
          `bytes ${start + at} … ${start + at + length} came damaged from ${source.name}`,
        );
      chunk.set(piece.bytes, at);
      tags.add(piece.tag);
    };
    reads.push(read());
  }
  await Promise.all(reads);
  if (tags.size > 1) throw new ProtocolError(`${source.name} got another copy while it was read`);
  return { bytes: chunk, tag: [...tags][0] };
}
