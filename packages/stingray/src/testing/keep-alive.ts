/**
 * Nothing of a cluster keeps a program alive, and some test runners (node:test) take an event loop with nothing to do for the
 * end of the tests, also while they wait for an answer of the cluster. So a test cluster keeps it busy, until it is
 * ended, or was forgotten.
 */
import { processState } from "@stingray/task/internal";

const LOOK_MS = 1_000;
/** Without a call for so long, nobody will end it any more. Milliseconds. */
const FORGOTTEN_MS = 60_000;

/** @returns undoes it */
export function keepAlive(): () => void {
  let quietSince = performance.now();
  const timer = setInterval(() => {
    const now = performance.now();
    if (processState.runtime?.busy === true) quietSince = now;
    if (now - quietSince < FORGOTTEN_MS) {
      timer.ref();
      return;
    }
    // The program may end now, and takes the cluster with it.
    if (timer.hasRef())
      process.stderr.write(
        `stingray: a test cluster has had nothing to do for ${FORGOTTEN_MS / 1000} s: call end() of it, in an after hook, say\n`,
      );
    timer.unref();
  }, LOOK_MS);
  return () => clearInterval(timer);
}
