/** The body of a stream: hands on each item in order, pauses while too many are unread, stops when nobody reads, or its time is over. */
import { InvalidArgumentError } from "@stingray/protocol";
import { lendingPlace } from "../ready.js";
import type { IncomingCall } from "./call.js";

type Items = AsyncIterator<unknown> | Iterator<unknown>;

/** A producer that never awaits lets messages in and out this often. Milliseconds. */
const TURN_MS = 2;

function iteratorOf(name: string, result: unknown): Items {
  if (typeof result === "object" && result !== null) {
    const it = result as Partial<AsyncIterable<unknown> & Iterable<unknown>>;
    if (typeof it[Symbol.asyncIterator] === "function")
      return (it as AsyncIterable<unknown>)[Symbol.asyncIterator]();
    if (typeof it[Symbol.iterator] === "function") return (it as Iterable<unknown>)[Symbol.iterator]();
  }
  throw new InvalidArgumentError(`${name} was called for a stream but returned nothing to iterate`);
}

/** Lets the producer clean up. What it throws then would hide why it was ended. */
async function close(items: Items): Promise<void> {
  try {
    await items.return?.();
  } catch {
    // see above
  }
}

export async function runStream(
  call: IncomingCall,
  result: unknown,
  emit: (index: number, value: unknown) => Promise<void>,
): Promise<void> {
  const items = iteratorOf(call.name, await result);
  const limit = call.options?.backpressure ?? Infinity;
  const unwanted = (): boolean => call.consumed < 0 || call.cancelled || call.timedOut;
  let turn = performance.now();
  for (let index = 0; ; index++) {
    const next = await items.next();
    if (next.done === true) return;
    try {
      await emit(index, next.value);
    } catch (error) {
      await close(items);
      throw error;
    }
    while (index + 1 - call.consumed >= limit && !unwanted()) {
      call.channel.flush();
      // Its reader may wait for just the place that the producer has.
      await lendingPlace(call, new Promise<void>((resume) => (call.consumedWaiter = resume)));
    }
    if (performance.now() - turn > TURN_MS) {
      call.channel.flush();
      await new Promise<void>((resume) => setImmediate(resume));
      turn = performance.now();
    }
    if (unwanted()) {
      await items.return?.();
      return;
    }
  }
}
