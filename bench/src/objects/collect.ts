import { setImmediate as nextTurn } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

let gc: (() => void) | undefined;

/**
 * Collects the garbage of this process, with the views on shared memory that nobody has any more. Never inside a timed
 * part: it is for what a sample leaves to the next.
 */
export async function collect(): Promise<void> {
  gc ??= exposed();
  // What is reachable through finalizers goes in the second pass, after they had their turn.
  for (let pass = 0; pass < 2; pass++) {
    gc();
    await nextTurn();
  }
}

function exposed(): () => void {
  setFlagsFromString("--expose-gc");
  try {
    const found: unknown = runInNewContext("gc");
    return typeof found === "function" ? () => void found() : () => {};
  } finally {
    setFlagsFromString("--no-expose-gc");
  }
}
