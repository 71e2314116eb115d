/** Objects that are being uploaded to a data port. They outlive the connection for a while, so that a cut one resumes. */
import { ProtocolError } from "@stingray/protocol";
import { ChunkMap } from "./chunks.js";
import { chunkSum } from "./sum.js";
import type { Incoming } from "./types.js";

/** Whoever is uploading it at the moment. */
export interface Uploader {
  /** Another connection has taken over; nothing of this one may be written any more when this returns. */
  displaced(): void;
  /** It was completed or given up here: as `displaced`. */
  ended(): void;
}

export class Upload {
  readonly object: string;
  readonly peer: string;
  readonly chunks: ChunkMap;
  readonly #incoming: Incoming;
  #closed = false;
  #ended = false;
  #uploader: Uploader | undefined;
  /** When its connection was lost or it became complete. */
  idleSince = performance.now();

  constructor(object: string, peer: string, incoming: Incoming) {
    this.object = object;
    this.peer = peer;
    this.chunks = new ChunkMap(incoming.size);
    this.#incoming = incoming;
    if (this.chunks.complete) this.close(true);
    incoming.whenEnded?.(() => this.#end());
  }

  /** Its room is gone, or somebody's: there is no going on with it. */
  get ended(): boolean {
    return this.#ended;
  }
  get idle(): boolean {
    return this.#uploader === undefined;
  }

  takeOver(uploader: Uploader): void {
    const before = this.#uploader;
    this.#uploader = uploader;
    before?.displaced();
  }
  letGo(uploader: Uploader): void {
    if (this.#uploader !== uploader) return;
    this.#uploader = undefined;
    this.idleSince = performance.now();
  }

  /** Where chunk `index` goes; undefined: it is here already. @throws ProtocolError for a chunk that the object does not have */
  room(index: number, length: number): Uint8Array | undefined {
    this.#check(index, length);
    if (this.#closed || this.chunks.has(index)) return undefined;
    return this.#incoming.window(this.chunks.offset(index), length);
  }

  /** false: damaged on its way. @throws ProtocolError as `room`, which is not asked where nothing came */
  take(index: number, bytes: Uint8Array, sum: Buffer): boolean {
    this.#check(index, bytes.length);
    if (this.#closed || this.chunks.has(index)) return true;
    if (!chunkSum(bytes).equals(sum)) return false;
    this.#incoming.arrived(this.chunks.offset(index), bytes.length);
    this.chunks.add(index, sum);
    if (this.chunks.complete) this.close(true);
    return true;
  }

  close(complete: boolean): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#incoming.close?.(complete);
  }

  #check(index: number, length: number): void {
    if (index < this.chunks.count && length === this.chunks.length(index)) return;
    throw new ProtocolError(
      `${this.peer} uploaded ${length} bytes as chunk ${index} of ${this.object}, which has ${this.chunks.size} bytes`,
    );
  }

  #end(): void {
    this.#ended = true;
    if (this.#closed) return; // by itself: nothing is on its way
    this.#closed = true;
    this.#uploader?.ended();
  }
}

export type Accept = (object: string, size: number, peer: string) => Promise<Incoming | undefined>;

export class Uploads {
  readonly #accept: Accept;
  readonly #lingerMs: number;
  readonly #uploads = new Map<string, Upload>();

  constructor(accept: Accept, lingerMs: number) {
    this.#accept = accept;
    this.#lingerMs = lingerMs;
  }

  /** The upload of this peer, begun or taken up again; undefined: it may not. */
  async begin(object: string, size: number, peer: string): Promise<Upload | undefined> {
    const key = `${peer} ${object}`;
    if (this.#uploads.get(key)?.ended === true) this.#uploads.delete(key);
    const known = this.#uploads.get(key);
    if (known?.chunks.size === size) return known;
    if (known !== undefined) return undefined;
    const incoming = await this.#accept(object, size, peer);
    if (incoming === undefined) return undefined;
    const begun = this.#uploads.get(key);
    if (incoming.size !== size || begun !== undefined) {
      incoming.close?.(false);
      return begun?.chunks.size === size ? begun : undefined;
    }
    const upload = new Upload(object, peer, incoming);
    this.#uploads.set(key, upload);
    return upload;
  }

  sweep(now: number): void {
    for (const [key, upload] of this.#uploads) {
      if (!upload.idle || now - upload.idleSince < this.#lingerMs) continue;
      this.#uploads.delete(key);
      upload.close(false);
    }
  }

  close(): void {
    for (const upload of this.#uploads.values()) upload.close(false);
    this.#uploads.clear();
  }
}
