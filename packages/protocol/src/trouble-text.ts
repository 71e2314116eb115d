/** Why an actor does not answer, as text. */
import type { ActorTrouble } from "./messages/vitals.js";

/** `has blocked its event loop for 7 s, in Counter.spin (pid 12 on node n…)`: goes on after what it is about. */
export function describeTrouble({ kind, ms, what, pid, node, others }: ActorTrouble): string {
  const where = `pid ${pid} on node ${node}`;
  if (kind === "constructing") return `has been at ${what} for ${seconds(ms)} (${where})`;
  const stands = `${seconds(ms)}, ${what} (${where})`;
  if (others === undefined || others === 0) return `has blocked its event loop for ${stands}`;
  // Which of them does it, `what` says.
  return `shares a process with ${others} other${others === 1 ? "" : "s"}, whose event loop has been blocked for ${stands}`;
}

const seconds = (ms: number): string =>
  ms < 10_000 ? `${Math.round(ms / 100) / 10} s` : `${Math.round(ms / 1000)} s`;
