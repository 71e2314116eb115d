/** Copying between files in the background: in pieces, so that the event loop is never held up for long. */
import * as fs from "node:fs";
import { promisify } from "node:util";
import { crc32 } from "node:zlib";

/** A checksum of it takes a millisecond. Bytes. */
const PIECE = 2 * 1024 * 1024;

const read = promisify(fs.read);
const write = promisify(fs.write);

export interface FileSpan {
  readonly fd: number;
  readonly offset: number;
}

/**
 * Reads `length` bytes, writes them to `to` if there is one, and returns their CRC-32. undefined: `from` ends before.
 * While one piece is written the next is read.
 */
export async function copyBytes(
  from: FileSpan,
  to: FileSpan | undefined,
  length: number,
): Promise<number | undefined> {
  const buffers = [0, 1].map(() => Buffer.allocUnsafeSlow(Math.min(PIECE, length)));
  const piece = (at: number): Promise<Buffer | undefined> =>
    readWhole(from, at, (buffers[(at / PIECE) % 2] as Buffer).subarray(0, Math.min(PIECE, length - at)));
  let crc = 0;
  let next = length > 0 ? piece(0) : undefined;
  for (let at = 0; at < length; at += PIECE) {
    const bytes = await next;
    if (bytes === undefined) return undefined;
    next = at + PIECE < length ? piece(at + PIECE) : undefined;
    next?.catch(() => undefined); // waited for in the next round, if there is one
    const writing = to && writeWhole(to, at, bytes);
    writing?.catch(() => undefined);
    crc = crc32(bytes, crc);
    try {
      await writing;
    } catch (thrown) {
      await next?.catch(() => undefined); // the descriptor must not be closed under it
      throw thrown;
    }
  }
  return crc;
}

async function readWhole({ fd, offset }: FileSpan, at: number, into: Buffer): Promise<Buffer | undefined> {
  for (let done = 0; done < into.length;) {
    const { bytesRead } = await read(fd, into, done, into.length - done, offset + at + done);
    if (bytesRead === 0) return undefined;
    done += bytesRead;
  }
  return into;
}

async function writeWhole({ fd, offset }: FileSpan, at: number, bytes: Buffer): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    const { bytesWritten } = await write(fd, bytes, done, bytes.length - done, offset + at + done);
    done += bytesWritten;
  }
}
