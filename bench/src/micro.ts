import { fileURLToPath } from "node:url";
import { findNatsServer } from "@stingray/broker/server";
import { init, shutdown } from "stingray";
import { allCases } from "./cases/all.js";
import type { Case } from "./cases/case.js";
import { Floors } from "./floors/floors.js";
import { durationSubject, measureInTurns, preparedSubject, rateSubject } from "./measure.js";
import type { Subject } from "./measure.js";
import type { BenchOptions } from "./options.js";
import { installRay } from "./peers/ray-install.js";
import type { RayInstallation } from "./peers/ray-install.js";
import { RayPeer, rayProgram } from "./peers/ray.js";
import { buildRow, OURS } from "./report.js";
import type { BenchFile, Row } from "./report.js";
import { describeMachine, reasonOf, turns, wantedBy } from "./run.js";
import type { Progress } from "./run.js";
import { chooseScale } from "./scale.js";
import type { Scale } from "./scale.js";
import { timeToFirstResult } from "./start-time.js";
import { formatRow } from "./table.js";

const START_CASE = "program start to first result";
/** What was asked for from the start of a program to its first result, in seconds. */
const START_TARGET_S = 1.5;

/** A peer that was asked for: running, or the reason why not. */
type Ray = (RayInstallation & { peer?: RayPeer }) | { why: string } | undefined;

/** What every case of a run needs to know. */
interface Run {
  o: BenchOptions;
  scale: Scale;
  ray: Ray;
  progress: Progress;
  signal: AbortSignal | undefined;
}

/** Names of all cases of the suite, in the order in which they run. */
export function microCaseNames(): string[] {
  return [START_CASE, ...allCases.map((one) => one.name)];
}

/** Runs the suite. Ends everything that it started, also when it fails or `signal` stops it. */
export async function runMicro(
  o: BenchOptions,
  progress: Progress,
  signal?: AbortSignal,
): Promise<BenchFile> {
  const startedAt = new Date();
  const start = performance.now();
  // The run is about a cluster of its own, whose size and links it chooses.
  delete process.env.STINGRAY_ADDRESS;
  const wanted = wantedBy(o);

  const server = await findNatsServer({ install: true, log: (line) => progress.status(line) });
  const scale = await chooseScale();
  const rows: Row[] = [];
  const add = (row: Row): void => {
    rows.push(row);
    progress.line(formatRow(row));
  };

  let ray: Ray;
  if (o.vs.includes("ray")) ray = await findRay(progress);
  // Before any cluster is up: beside a running one a start would be slower than it is.
  if (wanted(START_CASE)) add(await runStart({ o, scale, ray, progress, signal }));

  const cases = allCases.filter((one) => wanted(one.name));
  if (cases.length > 0) {
    let floors: Floors | undefined;
    try {
      progress.status("starting the cluster");
      await init({
        cpus: scale.cpus,
        objectStoreMemory: scale.storeBytes,
        ...(o.links === "nats" ? { links: o.links } : {}),
      });
      if (o.floors) floors = await Floors.start();
      if (ray && "python" in ray) ray = await startRay(ray, scale, progress);
      for (const one of cases) add(await runCase(one, { o, scale, ray, progress, signal }, floors));
    } finally {
      progress.status("ending");
      if (ray && "peer" in ray) await ray.peer?.stop();
      await floors?.stop();
      await shutdown();
    }
  }
  return {
    suite: "micro",
    machine: describeMachine(server.version, ray && "version" in ray ? { ray: ray.version } : {}),
    startedAt: startedAt.toISOString(),
    seconds: Math.round((performance.now() - start) / 1000),
    rows,
  };
}

async function findRay(progress: Progress): Promise<Ray> {
  try {
    return await installRay((line) => progress.line(line));
  } catch (error) {
    return { why: reasonOf(error) };
  }
}

async function startRay(installed: RayInstallation, scale: Scale, progress: Progress): Promise<Ray> {
  try {
    progress.status("starting Ray");
    return { ...installed, peer: await RayPeer.start(installed.python, scale) };
  } catch (error) {
    return { why: reasonOf(error) };
  }
}

async function runStart({ o, scale, ray, ...run }: Run): Promise<Row> {
  const program = fileURLToPath(new URL("first-result.js", import.meta.url));
  const subjects = [durationSubject(OURS, () => timeToFirstResult(process.execPath, [program]))];
  if (ray && "python" in ray) {
    const args = [rayProgram("ray_first_result.py"), JSON.stringify(scale)];
    subjects.push(durationSubject("ray", () => timeToFirstResult(ray.python, args)));
  }
  const measured = await measureInTurns(subjects, turns(START_CASE, o, run.progress, run.signal));
  const head = { name: START_CASE, unit: "s", better: "lower", reach: {}, target: START_TARGET_S } as const;
  return buildRow({ ...head, notes: rayNotes(ray) }, measured);
}

async function runCase(one: Case, { o, scale, ray, ...run }: Run, floors: Floors | undefined): Promise<Row> {
  const ours = async (): Promise<Subject> => rateSubject(OURS, await one.start(scale), one.operations(scale));
  const subjects: Subject[] = [preparedSubject(OURS, ours)];
  if (floors && one.floors) subjects.push(...floors.subjects(one.floors));
  if (ray && "peer" in ray && ray.peer) subjects.push(ray.peer.subject(one.name));
  const measured = await measureInTurns(subjects, turns(one.name, o, run.progress, run.signal));
  // What was asked for holds for the links that a user gets; with everything on the broker the floor is lower.
  const reach: Record<string, number> = {};
  if (ray && one.reachRay !== undefined && o.links === "auto") reach.ray = one.reachRay;
  const note = one.note?.(scale);
  const notes = [
    ...(note ? [note] : []),
    ...(o.links === "nats" ? ["everything over the broker"] : []),
    ...rayNotes(ray),
  ];
  return buildRow({ name: one.name, unit: one.unit, better: "higher", reach, notes }, measured);
}

function rayNotes(ray: Ray): string[] {
  return ray && "why" in ray && ray.why ? [`ray: ${ray.why}`] : [];
}
