/**
 * Which calls of which process have ended, by their numbers. What an old agent appends late, or appends again, is known by
 * its number, however long ago that was.
 */
import { list, text, tuple, uint, type Check } from "@stingray/protocol";

/** A process that has not called for so long is forgotten. Milliseconds. */
const FORGET_MS = 24 * 3_600_000;
/** Processes that are remembered; those that were silent for longest are forgotten first. */
const MOST_PRODUCERS = 5_000;

/** `upTo`: all numbers up to it have ended; `ended`: those above it that have, too. `heardAt`: milliseconds since 1970. */
export type ProducerRow = [producer: string, upTo: number, ended: number[], heardAt: number];
export const producerRow: Check<ProducerRow> = tuple<ProducerRow>(text, uint, list(uint, 100_000), uint);

interface Producer {
  upTo: number;
  /** The highest that came. */
  seen: number;
  /** Came and have not ended, lowest first. */
  readonly open: Set<number>;
  readonly ended: Set<number>;
  heardAt: number;
}

export class ProducerBook {
  /** Those that were heard last are last. */
  private readonly producers = new Map<string, Producer>();

  restore(rows: readonly ProducerRow[]): void {
    for (const [producer, upTo, ended, heardAt] of rows)
      this.producers.set(producer, { upTo, seen: upTo, open: new Set(), ended: new Set(ended), heardAt });
  }

  rows(now: number): ProducerRow[] {
    const rows: ProducerRow[] = [];
    let surplus = this.producers.size - MOST_PRODUCERS;
    for (const [id, { upTo, open, ended, heardAt }] of this.producers) {
      const quiet = open.size === 0 && (now - heardAt > FORGET_MS || surplus > 0);
      if (quiet) {
        this.producers.delete(id);
        surplus--;
      } else rows.push([id, upTo, [...ended], heardAt]);
    }
    return rows;
  }

  /** @returns false for a number that came before */
  arrive(id: string, number: number, now: number): boolean {
    let producer = this.producers.get(id);
    if (producer === undefined) {
      producer = { upTo: number - 1, seen: number - 1, open: new Set(), ended: new Set(), heardAt: now };
    } else this.producers.delete(id);
    this.producers.set(id, producer);
    producer.heardAt = now;
    if (number <= producer.seen) return false;
    producer.seen = number;
    if (producer.ended.has(number)) return false;
    producer.open.add(number);
    return true;
  }

  end(id: string, number: number): void {
    const producer = this.producers.get(id);
    if (producer?.open.delete(number) !== true) return;
    producer.ended.add(number);
    const [lowest] = producer.open;
    const upTo = lowest === undefined ? producer.seen : lowest - 1;
    if (upTo === producer.upTo) return;
    producer.upTo = upTo;
    for (const one of producer.ended) if (one <= upTo) producer.ended.delete(one);
  }
}
