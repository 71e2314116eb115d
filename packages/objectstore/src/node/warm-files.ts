/** Empty files whose pages exist, by size and by age, and the choice among them. */
import type { Segment } from "./segment.js";

/** A file may be so much larger than what is asked, as a part of it, and still be taken as it is. */
const CLOSE = 1 / 8;
/** So many close fits are looked through for one that the client knows. */
const LOOK = 64;

export class WarmFiles {
  private readonly bySize: Segment[] = [];
  private readonly byAge = new Map<number, Segment>();
  private total = 0;

  get bytes(): number {
    return this.total;
  }
  get count(): number {
    return this.byAge.size;
  }
  /** The one that is empty for the longest time. */
  get oldest(): Segment | undefined {
    return this.byAge.values().next().value;
  }

  add(segment: Segment): void {
    this.bySize.splice(this.firstFrom(segment.length), 0, segment);
    this.byAge.set(segment.file, segment);
    this.total += segment.length;
  }

  remove(segment: Segment): void {
    if (!this.byAge.delete(segment.file)) return;
    let at = this.firstFrom(segment.length);
    while (this.bySize[at] !== segment) at++;
    this.bySize.splice(at, 1);
    this.total -= segment.length;
  }

  /**
   * The best file for `length` bytes: one that fits closely, best one that `client` wrote last; else one that is to
   * be grown or cut, by no more than the half. `most`: no file longer than that is taken as it is.
   */
  find(length: number, client: string, most: number): Segment | undefined {
    const from = this.firstFrom(length);
    const close = Math.min(most, closeTo(length));
    let best: Segment | undefined;
    for (let at = from; at < Math.min(this.bySize.length, from + LOOK); at++) {
      const segment = this.bySize[at] as Segment;
      if (segment.length > close) break;
      if (segment.client === client) return segment;
      best ??= segment;
    }
    if (best !== undefined) return best;
    const shorter = this.bySize[from - 1];
    if (shorter !== undefined && shorter.length * 2 >= length) return shorter;
    const longer = this.bySize[from];
    return longer !== undefined && longer.length <= length * 2 ? longer : undefined;
  }

  /** Index of the first that has `length` bytes or more. */
  private firstFrom(length: number): number {
    let low = 0;
    let high = this.bySize.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.bySize[middle] as Segment).length < length) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** The longest file that is a close fit for `length` bytes. */
export const closeTo = (length: number): number => length + length * CLOSE;
