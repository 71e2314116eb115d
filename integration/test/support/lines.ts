/** Files that tasks and actors write lines into. */
import { readFileSync } from "node:fs";

/** The lines of a file; none while it is not there. */
export function linesOf(file: string): string[] {
  try {
    return readFileSync(file, "utf8")
      .trimEnd()
      .split("\n")
      .filter((line) => line !== "");
  } catch {
    return [];
  }
}
