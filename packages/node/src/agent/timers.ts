/** Time as parts of an agent see it, so that tests can drive it by hand. */
export interface Timers {
  /** Milliseconds from some moment; never goes back. */
  now(): number;
  /** Runs `fn` once after `ms` milliseconds unless what it gives is called before. Keeps no process alive. */
  defer(ms: number, fn: () => void): () => void;
}

/** The time of this process. */
export const systemTimers: Timers = {
  now: () => performance.now(),
  defer: (ms, fn) => {
    const timer = setTimeout(fn, ms).unref();
    return () => clearTimeout(timer);
  },
};
