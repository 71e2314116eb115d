/**
 * Which calls of which process have ended, by their numbers. What an old agent appends late, or appends again, is known by
 * its number, however long ago that was.
 */
import { list, text, tuple, uint, type Check } from "@stingray/protocol";

/** A process that has not called for so long is forgotten. Milliseconds. */
const FORGET_MS = 24 * 3_600_000;
/** Processes that are remembered; those that were silent for longest are forgotten first. */
export const MOST_PRODUCERS = 1_000;

/**
 * `seen`: all numbers up to it have ended but for those in `open`, which are pairs of first and last. However many ended
 * above one that has not, only that one counts. `heardAt`: milliseconds since 1970.
 */
export type ProducerRow = [
  producer: string,
  seen: number,
  open: [from: number, to: number][],
  heardAt: number,
];
export const producerRow: Check<ProducerRow> = tuple<ProducerRow>(
  text,
  uint,
  list(tuple<[from: number, to: number]>(uint, uint), 100_000),
  uint,
);

interface Producer {
  /** The highest that came to this incarnation, or had ended before it with all below. */
  seen: number;
  /** Came and have not ended, lowest first. */
  readonly open: Set<number>;
  /** What came to earlier incarnations up to here had ended, but for `left`; it comes again. */
  readonly before: number;
  readonly left: readonly (readonly [from: number, to: number])[];
  heardAt: number;
}

export class ProducerBook {
  /** Those that were heard last are last. */
  private readonly producers = new Map<string, Producer>();

  restore(rows: readonly ProducerRow[]): void {
    for (const [producer, before, left, heardAt] of rows) {
      const seen = (left[0]?.[0] ?? before + 1) - 1;
      this.producers.set(producer, { seen, open: new Set(), before, left, heardAt });
    }
  }

  rows(now: number): ProducerRow[] {
    const rows: ProducerRow[] = [];
    let surplus = this.producers.size - MOST_PRODUCERS;
    for (const [id, producer] of this.producers) {
      const { seen, before, heardAt } = producer;
      const open = openOf(producer);
      const quiet = open.length === 0 && (now - heardAt > FORGET_MS || surplus > 0);
      if (quiet) {
        this.producers.delete(id);
        surplus--;
      } else rows.push([id, Math.max(seen, before), open, heardAt]);
    }
    return rows;
  }

  /** @returns false for a number that came before */
  arrive(id: string, number: number, now: number): boolean {
    let producer = this.producers.get(id);
    if (producer === undefined) {
      producer = { seen: number - 1, open: new Set(), before: 0, left: [], heardAt: now };
    } else this.producers.delete(id);
    this.producers.set(id, producer);
    producer.heardAt = now;
    if (number <= producer.seen) return false;
    producer.seen = number;
    const { before, left } = producer;
    if (number <= before && !left.some(([from, to]) => from <= number && number <= to)) return false;
    producer.open.add(number);
    return true;
  }

  end(id: string, number: number): void {
    this.producers.get(id)?.open.delete(number);
  }
}

/** What has not ended, as ranges, lowest first: what came, and what is still to come again. */
function openOf({ seen, open, before, left }: Producer): [from: number, to: number][] {
  const ranges: [from: number, to: number][] = [];
  for (const number of open) {
    const last = ranges.at(-1);
    if (last !== undefined && last[1] === number - 1) last[1] = number;
    else ranges.push([number, number]);
  }
  if (seen < before)
    for (const [from, to] of left) if (to > seen) ranges.push([Math.max(from, seen + 1), to]);
  return ranges;
}
