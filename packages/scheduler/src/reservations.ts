/** The promise side of a reservation: resources and a worker for an actor. */
import type { StingrayError } from "@stingray/protocol";
import { Ask } from "./ask.js";
import type { Lease, LeaseBook } from "./lease-book.js";
import type { Reservation, ReserveRequest } from "./types.js";

export interface PendingReservation {
  readonly ask: Ask;
  /** Waits from now on, once: nothing listens to the signal before, so that what is refused at once leaves nothing behind. */
  readonly wait: () => Promise<Reservation>;
}

/**
 * An ask for one reservation, and the waiting for it. `close` takes the ask out of the queue and ends what was begun.
 * @throws InvalidOptionError for bad amounts or selectors.
 */
export function pendingReservation(
  q: ReserveRequest,
  key: string,
  book: LeaseBook,
  close: (ask: Ask) => void,
): PendingReservation {
  let settle: (outcome: Lease | StingrayError) => void = () => undefined;
  const ask = new Ask({
    kind: "reserve",
    job: q.job,
    process: undefined,
    key,
    shape: q.shape,
    want: 1,
    what: q.what,
    owner: { granted: (lease) => settle(lease), failed: (error) => settle(error) },
  });
  const { signal } = q;
  const wait = (): Promise<Reservation> =>
    new Promise((resolve, reject) => {
      const onAbort = (): void => {
        close(ask);
        reject(signal?.reason);
      };
      settle = (outcome) => {
        signal?.removeEventListener("abort", onAbort);
        close(ask);
        if (outcome instanceof Error) reject(outcome);
        else resolve(reservationOf(outcome, book));
      };
      signal?.addEventListener("abort", onAbort, { once: true });
    });
  return { ask, wait };
}

function reservationOf(lease: Lease, book: LeaseBook): Reservation {
  const { worker } = lease;
  if (worker === undefined) throw new TypeError(`lease ${lease.id} was granted without a worker`);
  return {
    lease: lease.id,
    worker,
    allocation: lease.allocation,
    release: (usable = false) => {
      book.end(lease, "returned", usable);
    },
    shrinkTo: (resources) => {
      lease.allocation.account.shrink(lease.allocation, resources);
      book.freed();
    },
  };
}
