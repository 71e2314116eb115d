/** Whether all that an actor does is waiting: then its node may lend its CPUs to others. */
import { Op } from "@stingray/protocol";

/** Counts what runs and what waits, and tells the agent when there is only the latter, and when that is over. */
export class LentPlace {
  private active = 0;
  private waiting = 0;
  private told = false;
  /** Whether it has CPUs to lend; where not, nobody need be told. */
  hasCpus = true;

  /** @param tell sends a message to the agent; `lease` is the name of the actor's reservation there */
  constructor(
    private readonly lease: string,
    private readonly tell: (message: [op: number, lease: string]) => void,
  ) {}

  begun(): void {
    this.active++;
    this.look();
  }
  ended(): void {
    this.active--;
    this.look();
  }
  blocked(): void {
    this.active--;
    this.waiting++;
    this.look();
  }
  resumed(): void {
    this.active++;
    this.waiting--;
    this.look();
  }

  private look(): void {
    const lent = this.hasCpus && this.active === 0 && this.waiting > 0;
    if (lent === this.told) return;
    this.told = lent;
    this.tell([lent ? Op.WorkerBlocked : Op.WorkerUnblocked, this.lease]);
  }
}
