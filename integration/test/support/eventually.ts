/** The old place of what is in `stingray/testing` now. */
import { eventually as wait, type Truthy } from "stingray/testing";
export { isRunning } from "stingray/testing";

export function eventually<T>(
  check: () => T | Promise<T>,
  message: string,
  timeoutMs?: number,
): Promise<Truthy<T>> {
  return wait(check, { message, timeoutMs });
}
