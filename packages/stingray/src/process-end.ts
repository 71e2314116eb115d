/** Ctrl-C and SIGTERM end the cluster before the program; a second one ends the program at once. */

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
