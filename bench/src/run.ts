import { availableParallelism, totalmem } from "node:os";
import type { Turns } from "./measure.js";
import type { BenchOptions } from "./options.js";
import type { BenchFile } from "./report.js";

/** How a run tells what it does; `status` is overwritten by the next one, `line` stays. */
export interface Progress {
  status(text: string): void;
  line(text: string): void;
}

/** Whether the run is to have a case of this name. */
export function wantedBy(o: Pick<BenchOptions, "only">): (name: string) => boolean {
  const text = (o.only ?? "").toLowerCase();
  return (name) => name.toLowerCase().includes(text);
}

/** How the subjects of a case take turns, with progress told. */
export function turns(
  name: string,
  o: Pick<BenchOptions, "rounds" | "seconds">,
  progress: Progress,
  signal: AbortSignal | undefined,
): Turns {
  return {
    signal,
    rounds: o.rounds,
    seconds: o.seconds,
    onProgress: (subject, round) =>
      progress.status(`${name}: ${subject}, ${round === 0 ? "warming up" : `round ${round} of ${o.rounds}`}`),
  };
}

/** The machine as a benchmark file names it. */
export function describeMachine(natsServer: string, peers: Record<string, string>): BenchFile["machine"] {
  return {
    cpus: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    node: process.version,
    natsServer,
    peers,
  };
}

/** What an error says. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
