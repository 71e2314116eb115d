/**
 * Offers are single use: one that comes again gets the same answer, one that is older than what is remembered of its
 * asker is refused. An id is `<asker>.<number>`, and the numbers of an asker only grow, so no clocks are compared.
 */
import { InvalidArgumentError } from "@stingray/protocol";

interface Seen<A> {
  readonly asker: string;
  readonly number: number;
  readonly answer: A | Promise<A>;
  readonly until: number;
}

/** How long an answer is kept for a repeated offer, at most so many. */
const KEEP_MS = 30_000;
const KEEP = 4_096;
/** Askers of which nothing was heard for as long are forgotten when there are more than this. */
const ASKERS = 4_096;

export class OfferBook<A> {
  /** In the order in which they came. */
  private readonly seen = new Map<string, Seen<A>>();
  /** The highest number of each asker whose answer was forgotten. */
  private readonly forgotten = new Map<string, number>();

  constructor(private readonly now: () => number) {}

  /**
   * The answer to the offer: what `make` gives, once.
   * @throws InvalidArgumentError for a stale or malformed id
   */
  once(offer: string, make: () => A | Promise<A>): A | Promise<A> {
    this.forget();
    const known = this.seen.get(offer);
    if (known !== undefined) return known.answer;
    const dot = offer.lastIndexOf(".");
    const asker = offer.slice(0, dot);
    const number = Number(offer.slice(dot + 1));
    if (dot <= 0 || !Number.isSafeInteger(number) || number < 0) {
      throw new InvalidArgumentError(`offer ${offer.slice(0, 100)}: an id is <asker>.<number>`);
    }
    if (number <= (this.forgotten.get(asker) ?? -1)) {
      throw new InvalidArgumentError(
        `offer ${offer} is stale: later ones of ${asker} are over; make a new offer`,
      );
    }
    const answer = make();
    this.seen.set(offer, { asker, number, answer, until: this.now() + KEEP_MS });
    return answer;
  }

  private forget(): void {
    const now = this.now();
    for (const [offer, { asker, number, until }] of this.seen) {
      if (until > now && this.seen.size < KEEP) break;
      this.seen.delete(offer);
      const last = this.forgotten.get(asker) ?? -1;
      this.forgotten.delete(asker);
      this.forgotten.set(asker, Math.max(last, number));
    }
    for (const asker of this.forgotten.keys()) {
      if (this.forgotten.size <= ASKERS) break;
      this.forgotten.delete(asker);
    }
  }
}
