/**
 * Puts calls into mailboxes: for each actor and producer one message at a time, so that what is kept has no gaps and the
 * order in which it was made; meanwhile what comes is gathered for the next.
 */
import { encodePlain } from "@stingray/broker";
import {
  MAX_CALL_ID,
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
  /** Calls that wait or are being kept, by number: who asks for one again waits for the same. */
  readonly known: Map<number, Promise<Refused>>;
}

export class MailboxAppender {
  private readonly lines = new Map<string, Line>();

  constructor(private readonly log: MailboxLog) {}

  /**
   * Resolves once the calls are kept, in the order in which they were given.
   * @returns those that can't be kept: too large for the broker
   * @throws ConnectionError where the producer did not want it any more
   */
  async append(actor: ActorId, producer: Producer, calls: readonly KeptCall[]): Promise<Refused> {
    const line = this.lines.get(`${actor}/${producer.id}`);
    // While the broker is away callers ask again and again: that must not fill the agent.
    const numbered = producer.id !== "";
    const known = new Set<Promise<Refused>>();
    const fresh: KeptCall[] = [];
    for (const call of calls) {
      const before = numbered ? line?.known.get(call[0]) : undefined;
      if (before === undefined) fresh.push(call);
      else known.add(before);
    }
    if (known.size === 0) return this.add(actor, producer, calls);
    if (fresh.length > 0) known.add(this.add(actor, producer, fresh));
    return (await Promise.all(known)).flat();
  }

  private add(actor: ActorId, producer: Producer, calls: readonly KeptCall[]): Promise<Refused> {
    const key = `${actor}/${producer.id}`;
    const line: Line = this.lines.get(key) ?? { waiting: [], known: new Map() };
    const kept = new Promise<Refused>((resolve, reject) => line.waiting.push({ calls, resolve, reject }));
    if (producer.id !== "") {
      for (const [number] of calls) line.known.set(number, kept);
      const over = (): void => {
        for (const [number] of calls) line.known.delete(number);
      };
      kept.then(over, over);
    }
    if (!this.lines.has(key)) {
      this.lines.set(key, line);
      void this.run(key, line, actor, producer);
    }
    return kept;
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

/**
 * A call that is to be kept later than now.
 * @param limit bytes of a message, at most
 * @throws SerializationError where it will be too large then
 */
export function checkLater(limit: number, producer: Pick<Producer, "id" | "node">, call: KeptCall): void {
  // By then it has an id.
  const [number, sequence, method, args, returns, attempt, options, callId = LONGEST_ID] = call;
  const later: KeptCall = [number, sequence, method, args, returns, attempt, options, callId];
  const batch: KeptBatch = [1, producer.id, producer.node, [later]];
  const size = encodePlain(batch).byteLength;
  if (size > limit) throw tooLarge(call, size, limit);
}
const LONGEST_ID = "x".repeat(MAX_CALL_ID);

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
