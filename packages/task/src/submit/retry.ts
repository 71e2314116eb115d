/** When to run something again, and how long to wait before. */
import { OutOfMemoryError, TaskError, toError, type RetryOn } from "@stingray/protocol";

const FIRST_BACKOFF_MS = 20;
const MAX_BACKOFF_MS = 10_000;

/** The same where memory was short: what took it needs time to end. */
const FIRST_MEMORY_BACKOFF_MS = 1_000;
const MAX_MEMORY_BACKOFF_MS = 60_000;

/**
 * Milliseconds before attempt number `attempt` (from 1): doubling, with jitter so that many do not come at once.
 * @param after what ended the attempt before
 */
export function backoffMs(attempt: number, after?: Error): number {
  const [first, most] =
    after instanceof OutOfMemoryError
      ? [FIRST_MEMORY_BACKOFF_MS, MAX_MEMORY_BACKOFF_MS]
      : [FIRST_BACKOFF_MS, MAX_BACKOFF_MS];
  return Math.min(most, first * 2 ** (attempt - 1)) * (0.5 + Math.random() / 2);
}

/** Whether an error of user code is one to try again after. A rule that throws says no. */
export function shouldRetry(rule: RetryOn, error: Error): boolean {
  if (rule === false) return false;
  if (rule === true) return true;
  const original = error instanceof TaskError && error.cause !== undefined ? error.cause : error;
  try {
    if (typeof rule === "function") return answered(rule(original));
    return rule.some(
      (cls) => original instanceof cls || error instanceof cls || isOfClassNamed(original, cls.name),
    );
  } catch (thrown) {
    process.emitWarning(`the function form of retryOn threw, which counts as no: ${toError(thrown).message}`);
    return false;
  }
}

/** An error class without a registered serializer arrives as an Error under its name. */
function isOfClassNamed(error: unknown, name: string): boolean {
  return error instanceof Error && name !== "" && name !== "Error" && error.name === name;
}

function answered(answer: unknown): boolean {
  if (typeof answer === "boolean") return answer;
  process.emitWarning(
    `the function form of retryOn must return true or false at once; what it returned (${typeof answer}) counts as no`,
  );
  return false;
}
