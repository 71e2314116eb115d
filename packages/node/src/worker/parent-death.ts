/** A worker must not outlive its agent, not even in the middle of a loop that never yields. */
import koffi from "koffi";

const PR_SET_PDEATHSIG = 1;
const SIGKILL = 9;

/**
 * Linux: asks the kernel to kill this process when its parent ends, however it ends (prctl(2)). Elsewhere this does
 * nothing: there the worker ends when its link to the agent breaks, which a busy loop can delay.
 *
 * @param parent process id that the parent had when it started this process
 */
export function dieWithParent(parent: number): void {
  if (process.platform === "linux") {
    const prctl = koffi
      .load(null)
      .func("int prctl(int, unsigned long, unsigned long, unsigned long, unsigned long)");
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  }
  // It may have ended before the kernel was asked.
  if (process.ppid !== parent) process.exit(1);
}
