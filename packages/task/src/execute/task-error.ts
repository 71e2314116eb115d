/** What user code threw, as its caller sees it. */
import { TaskError, errorTexts, type ErrorDetail, type StingrayError } from "@stingray/protocol";

/** What user code threw, for the caller: its message, and its stack in the worker. `detail`: more than it has by itself. */
export function taskError(
  name: string,
  original: Error,
  thrown: unknown = original,
  detail: ErrorDetail = {},
): StingrayError {
  const texts = errorTexts(original);
  const error = new TaskError(`${name} failed: ${kindOf(original, texts.name)}: ${texts.message}`, {
    cause: thrown,
    detail: { function: name, pid: process.pid, ...detail },
  });
  const frames = texts.stack?.split("\n").filter((line) => /^\s+at /.test(line)) ?? [];
  // Frames of the worker's own machinery say nothing about the user's mistake.
  const own = frames.findIndex((line) =>
    /[\\/](task|actor)[\\/](dist[\\/])?src[\\/]execute[\\/]|async_hooks/.test(line),
  );
  error.stack = [
    `${error.name}: ${error.message}`,
    ...(own > 0 ? frames.slice(0, own) : frames),
    `    at worker (pid ${process.pid})`,
  ].join("\n");
  return error;
}

/** A subclass that sets no name of its own is told by that of its class. */
function kindOf(error: Error, name: string): string {
  if (name !== "Error") return name;
  const own: unknown = (Object.getPrototypeOf(error) as { constructor?: { name?: unknown } } | null)
    ?.constructor?.name;
  return typeof own === "string" && own !== "" ? own : name;
}
