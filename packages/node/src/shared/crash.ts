/** What is said of actors whose common process has ended. */
import { encodeError, type ExitReport, type WireError } from "@stingray/protocol";
import { endError } from "../controller/actor-crash.js";

export function crashOf(worker: string, actors: number, report: ExitReport): WireError {
  const others = actors === 1 ? "one actor with shared isolation" : `${actors} actors with shared isolation`;
  const who = `the process ${worker} (pid ${report.pid}) that hosts ${others}`;
  // It is in the row of each of them, where nobody needs to know which line of the agent has said it.
  const { stack: _stack, ...error } = encodeError(endError(who, report, "; all of them ended with it"));
  return error;
}
