/** What an agent has said of why an actor does not answer, as the time goes by. */
import { describeTrouble, type ActorTrouble } from "@stingray/protocol";

export class KnownTrouble {
  private last: { trouble: ActorTrouble; at: number } | undefined;

  told(trouble: ActorTrouble | undefined): void {
    this.last = trouble === undefined ? undefined : { trouble, at: performance.now() };
  }

  /** `has blocked its event loop for 7 s, in …`, as of now; undefined where all is well. */
  get text(): string | undefined {
    if (this.last === undefined) return undefined;
    const { trouble, at } = this.last;
    return describeTrouble({ ...trouble, ms: trouble.ms + performance.now() - at });
  }
}
