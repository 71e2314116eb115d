/**
 * A log file of bounded size: when it is full it becomes `<path>.1`, in place of the one before, and a new one is
 * begun. Writes are queued and never waited for by the writer; the queue is bounded by what its owner reads from the
 * pipe (see `backlog`).
 */
import { open, rename, type FileHandle } from "node:fs/promises";
import { toError } from "@stingray/protocol";

export interface RotatingFileOptions {
  /** Bytes per file; two are kept. @defaultValue 16 MiB */
  maxBytes?: number;
  /** Called once, with the first error; what can't be written after it is dropped and counted. */
  onError?: (error: Error) => void;
}

/** Bytes in one file unless told otherwise. */
export const MAX_FILE_BYTES = 16 * 1024 * 1024;

export class RotatingFile {
  private readonly maxBytes: number;
  private readonly onError: ((error: Error) => void) | undefined;
  private file: FileHandle | undefined;
  private queue: Buffer[] = [];
  private work: Promise<void> | undefined;
  private size = 0;
  private state: "open" | "failed" | "closed" = "open";
  /** Bytes that are queued and not yet written. */
  backlog = 0;
  /** Bytes that could not be written. */
  dropped = 0;

  /** Nothing is opened before the first write: most workers print nothing. */
  constructor(
    readonly path: string,
    options: RotatingFileOptions = {},
  ) {
    this.maxBytes = options.maxBytes ?? MAX_FILE_BYTES;
    this.onError = options.onError;
  }

  append(text: string): void {
    const bytes = Buffer.from(text, "utf8");
    if (this.state !== "open") {
      this.dropped += bytes.length;
      return;
    }
    this.backlog += bytes.length;
    this.queue.push(bytes);
    this.work ??= this.drain();
  }

  /** Resolves when all that was appended is written or dropped. Never rejects. */
  async idle(): Promise<void> {
    while (this.work !== undefined) await this.work;
  }

  /** Writes what is queued and closes the file. */
  async close(): Promise<void> {
    await this.idle();
    if (this.state === "open") this.state = "closed";
    const file = this.file;
    this.file = undefined;
    await file?.close();
  }

  private async drain(): Promise<void> {
    try {
      while (this.queue.length > 0) {
        const bytes = Buffer.concat(this.queue);
        this.queue = [];
        await this.write(bytes);
        this.backlog -= bytes.length;
      }
    } catch (thrown) {
      this.state = "failed";
      this.dropped += this.backlog;
      this.backlog = 0;
      this.queue = [];
      this.onError?.(toError(thrown));
    } finally {
      this.work = undefined;
    }
  }

  private async write(bytes: Buffer): Promise<void> {
    if (this.file !== undefined && this.size + bytes.length > this.maxBytes) {
      await this.file.close();
      this.file = undefined;
      await rename(this.path, `${this.path}.1`);
    }
    if (this.file === undefined) {
      this.file = await open(this.path, "w", 0o600);
      this.size = 0;
    }
    await this.file.writeFile(bytes);
    this.size += bytes.length;
  }
}
