/** The promise side of a reservation: resources and a worker for an actor. */
import type { StingrayError } from "@stingray/protocol";
import type { ResourceAccount } from "./account.js";
import { Ask } from "./ask.js";
import type { Lease, LeaseBook } from "./lease-book.js";
import type { Reservation, ReserveRequest } from "./types.js";

/** Reservations of a job take their turns in one lane beside those of its submitters. */
const LANE = "reservations";

export interface PendingReservation {
  readonly ask: Ask;
  readonly promise: Promise<Reservation>;
}

/**
 * An ask for one reservation, with the promise of it. `close` takes the ask out of the queue and ends what was begun.
 * @throws InvalidOptionError for bad amounts or selectors.
 */
export function pendingReservation(
  q: ReserveRequest,
  key: string,
  account: ResourceAccount,
  book: LeaseBook,
  close: (ask: Ask) => void,
): PendingReservation {
  const { promise, resolve, reject } = deferred<Reservation>();
  const onAbort = (): void => {
    close(ask);
    reject(q.signal?.reason as Error);
  };
  const settle = (): void => q.signal?.removeEventListener("abort", onAbort);
  const ask = new Ask({
    kind: "reserve",
    job: q.job,
    submitter: LANE,
    key,
    shape: q.shape,
    want: 1,
    owner: {
      granted: (lease) => {
        settle();
        close(ask);
        resolve(reservationOf(lease, account, book));
      },
      failed: (error: StingrayError) => {
        settle();
        close(ask);
        reject(error);
      },
    },
  });
  q.signal?.addEventListener("abort", onAbort, { once: true });
  return { ask, promise };
}

function reservationOf(lease: Lease, account: ResourceAccount, book: LeaseBook): Reservation {
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
      account.shrink(lease.allocation, resources);
      book.freed();
    },
  };
}

function deferred<T>(): {
  promise: Promise<T>;
  resolve: (value: T) => void;
  reject: (reason: Error) => void;
} {
  let resolve: (value: T) => void = () => undefined;
  let reject: (reason: Error) => void = () => undefined;
  const promise = new Promise<T>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}
