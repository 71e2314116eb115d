/** Why a task has not ended, in one sentence: for errors and for `stingray why`. */
import { describeShape } from "./shape-text.js";
import type { TaskWhy } from "./messages/why.js";

/** `train waits for a worker with { GPU: 1 }: node n… needs …`: begins with the name of the function, has no stop. */
export function describeTask(why: TaskWhy): string {
  const name = why.name === "" ? `task ${why.task}` : why.name;
  switch (why.phase) {
    case "waiting":
      return `${name} waits for ${describeMissing(why)}`;
    case "queued":
      return why.actor === undefined ? `${name} ${describeQueue(why)}` : `${name} ${describeActor(why)}`;
    case "sent":
      return `${name} ${describeSent(why)}`;
    case "backoff":
      return `${name} is tried again in ${age(why.nextMs ?? 0)}${describeFailure(why)}`;
    case "ended":
      return `${name} has ended: ${why.outcome ?? "its result is known"}`;
  }
}

function describeMissing({ missing = [] }: TaskWhy): string {
  const [first] = missing;
  if (first === undefined) return "its arguments";
  const made =
    first.name === undefined ? `of process ${first.owner}` : `of ${first.name}, which is ${first.phase}`;
  const more = missing.length > 1 ? ` and ${missing.length - 1} more` : "";
  return `its argument ${first.object} (${made})${more}`;
}

function describeQueue({ queue }: TaskWhy): string {
  if (queue === undefined) return "waits for a worker";
  const { shape, reason, leases, ahead } = queue;
  const behind = ahead > 0 ? `, behind ${ahead} other task${ahead === 1 ? "" : "s"}` : "";
  const held =
    leases > 0
      ? `: the ${leases === 1 ? "worker that runs" : `${leases} workers that run`} such tasks are in use`
      : "";
  const why = reason === undefined || reason === "" ? held : `: ${reason}`;
  return `waits for a worker with ${describeShape(shape)}${behind}${why}`;
}

function describeActor({ actor }: TaskWhy): string {
  if (actor === undefined) return "waits for its actor";
  const { className, actor: id, state, reason } = actor;
  const who = `actor ${className} (${id})`;
  if (state === "alive") return `waits for the calls of ${who} before it`;
  return reason === undefined ? `waits for ${who}, which is ${state}` : `waits for its actor: ${reason}`;
}

function describeSent({ at, phaseMs, actor, delayMs }: TaskWhy): string {
  const since = phaseMs > 0 ? ` ${age(phaseMs)} ago` : "";
  const to = actor === undefined ? "" : ` to actor ${actor.className} (${actor.actor})`;
  if (delayMs !== undefined) return `was sent${to}${since} with a delay of ${age(delayMs)} and has not ended`;
  if (at === undefined) return `was sent${to}${since} and has not ended`;
  const where = actor === undefined ? `to worker ${at.process}` : `in ${at.process}`;
  const behind = at.ahead > 0 ? `, behind ${at.ahead} other${at.ahead === 1 ? "" : "s"},` : "";
  const why = actor?.reason === undefined ? "" : `: ${actor.reason}`;
  return `was sent${to} ${where} on node ${at.node}${since}${behind} and has not ended${why}`;
}

function describeFailure({ failures }: TaskWhy): string {
  const last = failures.at(-1);
  return last === undefined ? "" : `, after: ${last.message}`;
}

const age = (ms: number): string => (ms < 1_000 ? `${Math.ceil(ms)} ms` : `${Math.round(ms / 100) / 10} s`);
