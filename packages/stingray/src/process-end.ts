/**
 * How the cluster's part in a program ends with the program: when it has nothing left to do, and on signals, of which a
 * second one ends the program at once.
 */

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/**
 * Ends things properly on a signal, unless the program has handlers of its own: then it decides.
 * @returns undoes it
 */
export function endWithProcess(end: () => Promise<void>): () => void {
  let ending = false;
  const handlers = SIGNALS.map((signal) => {
    const handler = (): void => {
      if (process.listenerCount(signal) > 1 && !ending) return;
      const leave = (): void => {
        release();
        process.kill(process.pid, signal);
      };
      if (ending) {
        leave();
        return;
      }
      ending = true;
      end().then(leave, leave);
    };
    process.on(signal, handler);
    return { signal, handler };
  });
  const release = (): void => {
    for (const { signal, handler } of handlers) process.off(signal, handler);
  };
  // While it is ending, the handlers stay: the second signal must be seen.
  return () => {
    if (!ending) release();
  };
}

/** How often it is looked whether what keeps the program alive is done, in milliseconds. */
const LOOK_MS = 20;

/**
 * Nothing of ours that is open keeps a program alive, so Node.js says when it has nothing left to do by itself. Then
 * the program is kept alive while `busy`, and after that `end` is called.
 * @returns undoes it
 */
export function endWhenIdle(busy: () => boolean, end: () => void): () => void {
  let keeping: NodeJS.Timeout | undefined;
  const letGo = (): void => {
    clearInterval(keeping);
    keeping = undefined;
  };
  const onEmpty = (): void => {
    if (!busy()) end();
    // Also what `end` has begun.
    if (busy()) keeping ??= setInterval(() => busy() || letGo(), LOOK_MS);
  };
  process.on("beforeExit", onEmpty);
  return () => {
    process.off("beforeExit", onEmpty);
    letGo();
  };
}
