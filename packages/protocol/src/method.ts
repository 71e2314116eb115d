/** What a request method is made of. */
import { record, type Check } from "./check.js";

/** A name, and checkers of what is asked and answered. */
export interface Method<Q, A> {
  readonly name: string;
  readonly ask: Check<Q>;
  readonly answer: Check<A>;
}

export const method = <Q, A>(name: string, ask: Check<Q>, answer: Check<A>): Method<Q, A> => ({
  name,
  ask,
  answer,
});

export const empty = record<object>({});
