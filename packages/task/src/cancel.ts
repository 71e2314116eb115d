/** `cancel`. */
import { InvalidArgumentError, checkOptions, optionBool, ownerOf } from "@stingray/protocol";
import type { ObjectRef } from "./objects/object-ref.js";
import { runtimeFor } from "./process-state.js";
import { isObjectRefStream, type ObjectRefStream } from "./stream.js";
import { usable } from "./usable.js";

/**
 * Cancels a task or call by its reference, or a stream. Queued: it never runs. Running: its signal aborts and
 * `isCancelled()` turns true; `force` ends its worker. `get` then throws TaskCancelledError. What has ended is left
 * as it is.
 *
 * @throws InvalidArgumentError for a reference of a task that another process submitted
 */
export async function cancel(
  target: ObjectRef | ObjectRefStream,
  options: {
    /** End the worker process, for code that does not look at its signal. @defaultValue false */
    force?: boolean | undefined;
    /** Also what the task has submitted itself. @defaultValue true */
    recursive?: boolean | undefined;
  } = {},
): Promise<void> {
  const runtime = runtimeFor("cancel()");
  checkOptions("cancel()", { force: optionBool, recursive: optionBool }, options);
  let sequence: number;
  if (isObjectRefStream(target)) {
    sequence = target.sequence;
    target.state.leave();
  } else {
    const entry = usable(target, "cancel()");
    if (!entry.owned) {
      throw new InvalidArgumentError(
        `cancel(): ${entry.id} belongs to process ${ownerOf(entry.id)}; only the process that submitted a task can cancel it`,
      );
    }
    sequence = entry.sequence;
  }
  await runtime.cancel(sequence, { force: options.force ?? false, recursive: options.recursive ?? true });
}
