/** What the tests of bad use ask of every error. */
import { inspect } from "node:util";
import { expect } from "chai";
import type { StingrayError } from "stingray";

export type ErrorOf = abstract new (...args: never[]) => StingrayError;

/** What it rejects with, which must be of the class and match each text. Fails if it resolves, or takes too long. */
export async function refused(
  promise: Promise<unknown>,
  cls: ErrorOf,
  texts: readonly (string | RegExp)[],
  withinMs = 10_000,
): Promise<StingrayError> {
  const started = performance.now();
  const error = await promise.then(
    (value) => {
      throw new Error(`resolved with ${inspect(value).slice(0, 200)} instead of a ${cls.name}`);
    },
    (thrown: unknown) => thrown,
  );
  return check(error, cls, texts, performance.now() - started, withinMs);
}

/** The same for what is thrown here and now. */
export function refusedNow(
  call: () => unknown,
  cls: ErrorOf,
  texts: readonly (string | RegExp)[],
): StingrayError {
  let value: unknown;
  try {
    value = call();
  } catch (thrown) {
    return check(thrown, cls, texts, 0, 0);
  }
  throw new Error(`returned ${String(value)} instead of throwing a ${cls.name}`);
}

function check(
  error: unknown,
  cls: ErrorOf,
  texts: readonly (string | RegExp)[],
  tookMs: number,
  withinMs: number,
): StingrayError {
  expect(error).to.be.instanceOf(Error);
  const { name, message } = error as Error;
  expect(error, `${name}: ${message}`).to.be.instanceOf(cls);
  for (const text of texts)
    if (typeof text === "string") expect(message).to.contain(text);
    else expect(message).to.match(text);
  expect(tookMs, `milliseconds until "${message}"`).to.be.at.most(withinMs);
  return error as StingrayError;
}
