/** The actor of the density workload, in a module of its own because workers import it. */
import { context, remote } from "stingray";

export class Tally {
  #n: number;

  constructor(n: number) {
    this.#n = n;
  }

  add(by: number): number {
    return (this.#n += by);
  }

  host(): string {
    return context().workerId;
  }
}

export const LightTally = remote({ isolation: "shared" }, Tally);
