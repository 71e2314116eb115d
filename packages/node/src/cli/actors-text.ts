/** Actors and their processes, as text for people. */
import { describeTrouble, type ActorLine, type WorkerVitals } from "@stingray/protocol";
import type { ActorsState } from "./actors-state.js";
import { table } from "./output.js";
import { showAge, showBytes, showCount } from "./values.js";

/** Of each kind, in the overview. */
const MOST_LINES = 5;
const LARGEST = 3;
/** What is said of one is cut here, in characters. */
const MOST_TEXT = 300;

const STATES = ["ALIVE", "PENDING", "RESTARTING", "PASSIVE", "DEAD"];

/** For `stingray status`: how many in which state, what is wrong, and how the last ones died. Nothing where there are none. */
export function describeActors({ listing, deaths, vitals, silent }: ActorsState): string[] {
  const lines: string[] = [];
  const counts = Object.entries(listing?.counts ?? {}).toSorted(
    ([a], [b]) => STATES.indexOf(a) - STATES.indexOf(b),
  );
  if (counts.length > 0) {
    const texts = counts.map(
      ([state, n]) => `${n} ${state === "DEAD" ? "dead lately" : state.toLowerCase()}`,
    );
    lines.push(`Actors: ${texts.join(", ")}`);
  }
  const workers = vitals.flatMap((one) =>
    one.vitals.workers.map((worker) => ({ ...worker, node: one.node })),
  );
  const troubled = workers.filter(({ trouble }) => trouble !== undefined);
  const waiting = (listing?.actors ?? []).filter(
    ({ actor }) => !troubled.some((worker) => worker.actor === actor),
  );
  const trouble = [
    ...troubled.slice(0, MOST_LINES).map((worker) => `  ${describeWorkerTrouble(worker)}`),
    ...waiting.slice(0, MOST_LINES).map((line) => `  ${who(line)} is ${line.state}${because(line)}`),
  ];
  const more = troubled.length + waiting.length + (listing?.more ?? 0) - trouble.length;
  if (trouble.length > 0) lines.push("In trouble:", ...trouble, ...(more > 0 ? [`  and ${more} more`] : []));
  const died = (deaths?.actors ?? []).slice(0, MOST_LINES);
  if (died.length > 0) lines.push("Last deaths:", ...died.map((line) => `  ${describeDeath(line)}`));
  lines.push(...describeMemory(workers, vitals));
  for (const { node, reason } of silent.slice(0, MOST_LINES))
    lines.push(`  (how the workers of ${node} do is not known: ${reason})`);
  return lines;
}

function describeMemory(
  workers: readonly (WorkerVitals & { node: string })[],
  vitals: ActorsState["vitals"],
): string[] {
  const lines: string[] = [];
  for (const { node, vitals: one } of vitals) {
    if (one.total === undefined || one.available === undefined) continue;
    const ended =
      one.ended === 0 ? "" : `; ${showCount(one.ended, "worker")} ended for want of memory so far`;
    if (ended === "" && one.available > one.total / 5) continue;
    lines.push(
      `  ${node}: ${showBytes(one.available)} of ${showBytes(one.total)} left on its machine${ended}`,
    );
  }
  const largest = workers.toSorted((a, b) => b.memory - a.memory).slice(0, LARGEST);
  if (largest.length > 0) {
    const heading = ["PROCESS", "NODE", "PID", "MEMORY", "DECLARED", "HEAP", "ACTOR"];
    lines.push("Largest workers:", indented(table([heading, ...largest.map(workerCells)])));
  }
  return lines.length > 0 && lines[0]?.startsWith("  ") === true ? ["Memory:", ...lines] : lines;
}

function workerCells(worker: WorkerVitals & { node: string }): string[] {
  const { process, node, pid, memory, declared, heapUsed, heapLimit, actor, className, actors } = worker;
  const over = declared !== undefined && memory > declared ? "!" : "";
  const heap =
    heapUsed === undefined || heapLimit === undefined ? "" : `${showBytes(heapUsed)}/${showBytes(heapLimit)}`;
  const others = actors > 1 ? ` and ${actors - 1} more` : "";
  return [
    process,
    node,
    String(pid),
    showBytes(memory),
    declared === undefined ? "" : `${showBytes(declared)}${over}`,
    heap,
    actor === undefined ? "" : `${className ?? ""} ${actor}${others}`,
  ];
}

function describeWorkerTrouble({
  process,
  actor,
  className = "an actor",
  actors,
  trouble,
}: WorkerVitals): string {
  if (trouble === undefined) return process;
  const what = actor === undefined ? `worker ${process}` : `${className} (${actor})`;
  return `${what} ${describeTrouble({ ...trouble, others: actor === undefined ? 0 : actors - 1 })}`;
}

function describeDeath(line: ActorLine): string {
  const when = line.diedMs === undefined ? "" : ` ${showAge(line.diedMs)} ago`;
  return `${who(line)}${when}${because(line)}`;
}

const who = ({ className, name, actor }: ActorLine): string =>
  `${className}${name === undefined ? "" : ` "${name}"`} (${actor})`;

function because({ cause }: ActorLine): string {
  if (cause === undefined) return "";
  const line = cause.replaceAll(/\s+/g, " ");
  return `: ${line.length > MOST_TEXT ? `${line.slice(0, MOST_TEXT)}…` : line}`;
}

/** For `stingray actors`: one line for each. */
export function describeActorTable({ listing, vitals }: ActorsState): string {
  if (listing === undefined) return "No agent answers.";
  const processes = new Map(
    vitals.flatMap((one) => one.vitals.workers.map((worker) => [worker.process, worker] as const)),
  );
  const rows = listing.actors.map((line) => {
    const worker = line.process === undefined ? undefined : processes.get(line.process);
    const { trouble } = worker ?? {};
    return [
      line.actor,
      line.className,
      line.name ?? "",
      line.state,
      line.node ?? "",
      worker === undefined ? "" : String(worker.pid),
      `${line.restarts}${line.maxRestarts === 0 ? "" : `/${line.maxRestarts < 0 ? "∞" : line.maxRestarts}`}`,
      worker?.running === undefined ? "" : `${worker.running}+${worker.queued ?? 0}`,
      worker === undefined
        ? ""
        : `${showBytes(worker.memory)}${worker.actors > 1 ? ` for ${worker.actors}` : ""}`,
      trouble === undefined ? because(line).replace(/^: /, "").slice(0, 80) : describeTrouble(trouble),
    ];
  });
  const heading = ["ACTOR", "CLASS", "NAME", "STATE", "NODE", "PID", "RESTARTS", "CALLS", "MEMORY", ""];
  const counts = Object.entries(listing.counts).map(([state, n]) => `${n} ${state}`);
  return [
    counts.length === 0 ? "No actors." : `Actors: ${counts.join(", ")}`,
    ...(rows.length === 0 ? [] : [table([heading, ...rows])]),
    ...(listing.more === 0 ? [] : [`and ${listing.more} more (--limit)`]),
  ].join("\n");
}

const indented = (text: string): string => text.replace(/^/gm, "  ");
