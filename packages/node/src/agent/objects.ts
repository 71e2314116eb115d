/** The object store of the node as other processes see it: room for new objects, copies from other nodes, reads. */
import { crc32 } from "node:zlib";
import type { NodeStore } from "@stingray/objectstore";
import {
  ObjectLostError,
  ProtocolError,
  isAgentId,
  toError,
  type ProcessId,
  type StoreRoom,
} from "@stingray/protocol";

/** Bytes per request of a transfer, and requests in flight at a time. */
const CHUNK = 512 * 1024;
const IN_FLIGHT = 4;
/** Longest read that is answered in one message. */
const MAX_READ = 1024 * 1024;

export interface ObjectHooks {
  readonly agent: ProcessId;
  /** `store.read` at another agent; has a deadline. */
  read(
    copy: { node: string; agent: string },
    part: { object: string; offset: number; length: number },
  ): Promise<{ bytes: Uint8Array; size: number }>;
  /** Tells another agent that the objects are freed. */
  passOn(agent: ProcessId, freed: readonly string[]): void;
  /** The job that a process works for, as far as known. */
  jobOf(process: ProcessId): string | undefined;
}

export class Objects {
  private readonly pulls = new Map<string, Promise<void>>();
  /** By job, so that nothing of it stays when it is over. */
  private readonly byJob = new Map<string, Set<string>>();
  private readonly jobs = new Map<string, string>();
  /** Agents that copied an object from here. Its owner does not know of their copies, so they are told by us. */
  private readonly copiedBy = new Map<string, Set<ProcessId>>();

  constructor(
    private readonly store: NodeStore,
    private readonly hooks: ObjectHooks,
  ) {}

  get used(): number {
    return this.store.used;
  }
  get capacity(): number {
    return this.store.capacity;
  }

  /** Reserves room; gives the file to be written. @throws ObjectStoreFullError */
  create(object: string, size: number, client: ProcessId): StoreRoom {
    const path = this.store.create(object, size, client);
    this.note(object, client);
    return { path, file: 0, length: size, warm: false };
  }

  seal(object: string, size: number): void {
    this.store.seal(object, size);
  }

  /** Here, and wherever it was copied to from here. */
  free(objects: readonly string[]): void {
    this.store.free(objects);
    const elsewhere = new Map<ProcessId, string[]>();
    for (const object of objects) {
      this.forget(object);
      for (const agent of this.copiedBy.get(object) ?? [])
        elsewhere.set(agent, [...(elsewhere.get(agent) ?? []), object]);
      this.copiedBy.delete(object);
    }
    for (const [agent, copied] of elsewhere) this.hooks.passOn(agent, copied);
  }

  /** A process is gone: what it had not finished goes. */
  clientDied(client: ProcessId): void {
    this.store.clientDied(client);
  }

  /** All objects that processes of the job made or fetched here go. */
  freeJob(job: string): void {
    const objects = this.byJob.get(job);
    if (objects !== undefined) this.free([...objects]);
  }

  /** @throws ObjectLostError where this node does not have it (any more) */
  read(
    object: string,
    offset: number,
    length: number,
    reader: ProcessId,
  ): { bytes: Uint8Array; size: number; crc: number } {
    const size = this.sealedSize(object);
    if (size === undefined) {
      throw new ObjectLostError(
        `object ${object} is not in the store of this node: ask another copy, or its owner`,
      );
    }
    if (isAgentId(reader)) {
      let agents = this.copiedBy.get(object);
      if (agents === undefined) this.copiedBy.set(object, (agents = new Set()));
      agents.add(reader);
    }
    const wanted = Math.max(0, Math.min(length, MAX_READ, size - offset));
    const bytes = this.store.read(object, offset, wanted);
    return { bytes, size, crc: crc32(bytes) };
  }

  /**
   * Makes sure that the object is here. Askers at the same time share one transfer; a copy that fails is replaced by
   * the next.
   * @throws ObjectLostError with the last failure where no copy could be read; ObjectStoreFullError
   */
  async pull(
    object: string,
    size: number,
    copies: readonly [string, string][],
    client: ProcessId,
  ): Promise<{ path: string; size: number }> {
    let pull = this.pulls.get(object);
    if (pull === undefined && this.sealedSize(object) === undefined) {
      pull = this.transfer(object, size, copies).finally(() => this.pulls.delete(object));
      this.pulls.set(object, pull);
    }
    await pull;
    const there = this.store.stat(object);
    if (there?.sealed !== true) {
      throw new ObjectLostError(`object ${object} was freed while it was fetched to this node`);
    }
    this.note(object, client);
    return { path: there.path, size: there.size };
  }

  private async transfer(object: string, size: number, copies: readonly [string, string][]): Promise<void> {
    const sources = copies.filter(([, agent]) => agent !== this.hooks.agent);
    // Not all readers at the first copy: any order is as good.
    const start = Math.floor(Math.random() * sources.length);
    const failures: Error[] = [];
    for (let i = 0; i < sources.length; i++) {
      const [node, agent] = sources[(start + i) % sources.length] as [string, string];
      this.store.create(object, size, this.hooks.agent); // anew: nothing of a copy that failed stays
      try {
        await this.copy(object, size, { node, agent });
        if (this.store.seal(object, size)) return;
        throw new ObjectLostError(`object ${object} was freed while it was fetched to this node`);
      } catch (thrown) {
        failures.push(toError(thrown));
        this.store.free([object]);
      }
    }
    const last = failures.at(-1);
    const why =
      last === undefined
        ? "no other node has a copy"
        : `${failures.length} copies failed, the last with: ${last.message}`;
    throw new ObjectLostError(
      `object ${object} (${size} bytes) could not be fetched: ${why}`,
      last === undefined ? {} : { cause: last },
    );
  }

  private async copy(object: string, size: number, from: { node: string; agent: string }): Promise<void> {
    let next = 0;
    const lane = async (): Promise<void> => {
      while (next < size) {
        const offset = next;
        const length = Math.min(CHUNK, size - offset);
        next += length;
        await this.copyPart({ object, offset, length }, size, from);
      }
    };
    const lanes = Array.from({ length: Math.min(IN_FLIGHT, Math.ceil(size / CHUNK)) }, lane);
    // All are waited for: none may write any more when the next copy begins.
    const failed = (await Promise.allSettled(lanes)).find((outcome) => outcome.status === "rejected");
    if (failed !== undefined) throw toError(failed.reason);
  }

  private async copyPart(
    part: { object: string; offset: number; length: number },
    size: number,
    from: { node: string; agent: string },
  ): Promise<void> {
    const answer = await this.hooks.read(from, part);
    if (answer.size !== size || answer.bytes.length !== part.length) {
      throw new ProtocolError(
        `node ${from.node} sent ${answer.bytes.length} of ${answer.size} bytes at ${part.offset} of object ${part.object}, ` +
          `expected ${part.length} of ${size}: its copy is another or damaged`,
      );
    }
    this.store.write(part.object, part.offset, answer.bytes);
  }

  private sealedSize(object: string): number | undefined {
    const stat = this.store.stat(object);
    return stat?.sealed === true ? stat.size : undefined;
  }

  private note(object: string, client: ProcessId): void {
    const job = this.hooks.jobOf(client);
    if (job === undefined || this.jobs.has(object)) return;
    this.jobs.set(object, job);
    let objects = this.byJob.get(job);
    if (objects === undefined) this.byJob.set(job, (objects = new Set()));
    objects.add(object);
  }
  private forget(object: string): void {
    const job = this.jobs.get(object);
    if (job === undefined) return;
    this.jobs.delete(object);
    const objects = this.byJob.get(job);
    objects?.delete(object);
    if (objects?.size === 0) this.byJob.delete(job);
  }
}
