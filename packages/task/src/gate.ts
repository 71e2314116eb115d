/** Lets so many at a time through, in the order in which they came. */
import { Fifo } from "./fifo.js";

export class Gate {
  private inside = 0;
  private readonly waiting = new Fifo<() => void>();

  constructor(private readonly most: number) {}

  /** Runs `work` when it is its turn; the next one comes when that has ended, one way or the other. */
  async through<T>(work: () => Promise<T>): Promise<T> {
    if (this.inside < this.most) this.inside++;
    else await new Promise<void>((turn) => this.waiting.push(turn));
    try {
      return await work();
    } finally {
      const next = this.waiting.shift();
      if (next === undefined) this.inside--;
      else next();
    }
  }
}
