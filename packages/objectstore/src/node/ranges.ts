/** Which bytes of something are there: ranges that come in any order, and may overlap. */
export class Ranges {
  /** Starts and ends by turns, ascending: no two ranges touch. */
  private readonly bounds: number[] = [];

  /** `from` to `to`, without `to`. */
  add(from: number, to: number): void {
    if (to <= from) return;
    const { bounds } = this;
    // Those that end before it, and those that begin behind it, stay as they are.
    const first = this.count(from, false);
    const last = this.count(to, true);
    const start = first % 2 === 0 ? from : (bounds[first - 1] as number);
    const end = last % 2 === 0 ? to : (bounds[last] as number);
    const low = first - (first % 2);
    bounds.splice(low, last + (last % 2) - low, start, end);
  }

  /** All bytes from 0 to `size` are there. */
  covers(size: number): boolean {
    const [from, to] = this.bounds;
    return size === 0 || (from === 0 && to !== undefined && to >= size);
  }

  /** Bounds below `value`, or at most `value` if `too`. */
  private count(value: number, too: boolean): number {
    const { bounds } = this;
    let low = 0;
    let high = bounds.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const bound = bounds[middle] as number;
      if (bound < value || (too && bound === value)) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
