/**
 * Puts calls into mailboxes: for each actor and producer one message at a time, so that what is kept has no gaps and the
 * order in which it was made; meanwhile what comes is gathered for the next.
 */
import { encodePlain } from "@stingray/broker";
import {
  SerializationError,
  encodeError,
  type ActorId,
  type KeptBatch,
  type KeptCall,
  type NodeId,
  type WireError,
} from "@stingray/protocol";
import type { MailboxLog } from "./log.js";

/** Calls in one message, at most. A receiver takes a message at a time. */
const MOST_CALLS = 200;
/** A message of several calls is not made larger than this, in bytes. */
const LARGE_BYTES = 256 * 1024;

/** Calls that were not kept, by their number, and why. */
export type Refused = [number: number, error: WireError][];

interface Waiting {
  readonly calls: readonly KeptCall[];
  readonly resolve: (refused: Refused) => void;
  readonly reject: (error: unknown) => void;
}

/** Who makes calls; empty id: nobody, who hears no answers and whose calls have ids of their own. */
export interface Producer {
  readonly id: string;
  readonly node: NodeId | undefined;
  /** Whether it still waits for an answer. */
  readonly wanted: () => boolean;
}

interface Line {
  readonly waiting: Waiting[];
}

export class MailboxAppender {
  private readonly lines = new Map<string, Line>();

  constructor(private readonly log: MailboxLog) {}

  /**
   * Resolves once the calls are kept, in the order in which they were given.
   * @returns those that can't be kept: too large for the broker
   * @throws ConnectionError where the producer did not want it any more
   */
  append(actor: ActorId, producer: Producer, calls: readonly KeptCall[]): Promise<Refused> {
    const key = `${actor}/${producer.id}`;
    return new Promise((resolve, reject) => {
      const waiting: Waiting = { calls, resolve, reject };
      const line = this.lines.get(key);
      if (line !== undefined) {
        line.waiting.push(waiting);
        return;
      }
      const fresh: Line = { waiting: [waiting] };
      this.lines.set(key, fresh);
      void this.run(key, fresh, actor, producer);
    });
  }

  private async run(key: string, line: Line, actor: ActorId, producer: Producer): Promise<void> {
    // What else comes in this turn goes along.
    await Promise.resolve();
    while (line.waiting.length > 0) {
      const batch = line.waiting.splice(0);
      try {
        const refused: Refused = [];
        await this.keep(
          actor,
          producer,
          batch.flatMap(({ calls }) => [...calls]),
          refused,
        );
        for (const { resolve } of batch) resolve(refused);
      } catch (error) {
        for (const { reject } of batch) reject(error);
      }
    }
    this.lines.delete(key);
  }

  private async keep(
    actor: ActorId,
    producer: Producer,
    calls: readonly KeptCall[],
    refused: Refused,
  ): Promise<void> {
    const [first] = calls;
    const last = calls.at(-1);
    if (first === undefined || last === undefined) return;
    const batch: KeptBatch = [1, producer.id, producer.node, [...calls]];
    const data = encodePlain(batch);
    if (
      calls.length > 1 &&
      (calls.length > MOST_CALLS || data.byteLength > Math.min(LARGE_BYTES, this.log.limit))
    ) {
      const half = Math.min(MOST_CALLS, Math.ceil(calls.length / 2));
      await this.keep(actor, producer, calls.slice(0, half), refused);
      await this.keep(actor, producer, calls.slice(half), refused);
      return;
    }
    if (data.byteLength > this.log.limit) {
      refused.push([first[0], encodeError(tooLarge(first, data.byteLength, this.log.limit))]);
      return;
    }
    await this.log.append(actor, data, idOf(actor, producer, first, last), producer.wanted);
  }
}

/** The same for the same calls, also from another agent. */
function idOf(actor: ActorId, producer: Producer, first: KeptCall, last: KeptCall): string {
  if (producer.id === "") return `${actor}//${first[7] ?? ""}/${last[7] ?? ""}`;
  return `${actor}/${producer.id}/${first[0]}-${last[0]}`;
}

function tooLarge(call: KeptCall, size: number, limit: number): SerializationError {
  return new SerializationError(
    `a call of ${call[2]} has ${size} bytes, and the broker keeps at most ${limit} for an actor with a durable mailbox: ` +
      "pass large values as references inside an object ({ data: put(value) }), or raise max_payload of nats-server",
    { detail: { path: "args", size, limit } },
  );
}
