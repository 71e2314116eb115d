#!/usr/bin/env node
/** The command `npm run bench`. */
import { realpathSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { InvalidOptionError } from "@stingray/protocol";
import { actorCaseNames, runActors } from "./actors/actors.js";
import { microCaseNames, runMicro } from "./micro.js";
import { objectCaseNames, runObjects } from "./objects/objects.js";
import { HELP, parseOptions, SUITES } from "./options.js";
import type { BenchOptions, Suite } from "./options.js";
import type { BenchFile } from "./report.js";
import { wantedBy } from "./run.js";
import type { Progress } from "./run.js";
import { runScale, scaleCaseNames } from "./scale-sim/suite.js";
import { formatTable } from "./table.js";

const ExitCode = { ok: 0, failed: 1, usage: 2, stopped: 130 } as const;
type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];

interface Runnable {
  caseNames(o: Pick<BenchOptions, "small" | "nodes" | "links">): string[];
  run(o: BenchOptions, progress: Progress, signal: AbortSignal): Promise<BenchFile>;
}

const suites: Record<Suite, Runnable> = {
  micro: { caseNames: microCaseNames, run: runMicro },
  objects: { caseNames: objectCaseNames, run: runObjects },
  actors: { caseNames: actorCaseNames, run: runActors },
  scale: { caseNames: scaleCaseNames, run: runScale },
};

/** Progress on standard error: one line that changes on a terminal, only what stays elsewhere. */
function terminalProgress(): Progress {
  const { stderr } = process;
  const clear = (): void => void (stderr.isTTY && stderr.write("\r\u001B[K"));
  return {
    status(text) {
      clear();
      if (stderr.isTTY) stderr.write(text.slice(0, (stderr.columns ?? 80) - 1));
    },
    line(text) {
      clear();
      stderr.write(`${text}\n`);
    },
  };
}

async function main(): Promise<ExitCode> {
  const options = parseOptions(process.argv.slice(2));
  if (options.help) {
    const lists = SUITES.map(
      (suite) => `Cases of ${suite}\n${suites[suite].caseNames(options).join("\n").replace(/^/gm, "  ")}\n`,
    );
    process.stdout.write(`${HELP}\n\n${lists.join("\n")}`);
    return ExitCode.ok;
  }
  const suite = suites[options.suite];
  if (!suite.caseNames(options).some(wantedBy(options))) {
    throw new InvalidOptionError(
      `--only ${options.only ?? ""}: no case of ${options.suite} has that in its name; see --help`,
    );
  }
  const progress = terminalProgress();
  const stop = new AbortController();
  for (const name of ["SIGINT", "SIGTERM"] as const) {
    // It stays to the end: where nobody listens any more, the cluster ends the program by itself, before the rest.
    process.on(name, () => {
      if (stop.signal.aborted) process.exit(ExitCode.stopped);
      progress.line("stopping: the running round is finished and what was started is ended; again: at once");
      stop.abort();
    });
  }
  let result;
  try {
    result = await suite.run(options, progress, stop.signal);
  } catch (error) {
    if (stop.signal.aborted) return ExitCode.stopped;
    throw error;
  }
  progress.status("");
  process.stdout.write(`${formatTable(result.rows)}\n`);
  if (options.json) {
    const file = resolve(options.json);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, `${JSON.stringify(result, null, 2)}\n`);
    process.stdout.write(`\nwritten to ${file}\n`);
  }
  // Of a case that failed there are none.
  return result.rows.every((row) => row.ours.rounds.length > 0) ? ExitCode.ok : ExitCode.failed;
}

// Workers import the program of their job too; only the process that was started with it is the benchmark.
const started = process.argv[1];
if (started !== undefined && realpathSync(started) === fileURLToPath(import.meta.url)) {
  try {
    process.exitCode = await main();
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = error instanceof InvalidOptionError ? ExitCode.usage : ExitCode.failed;
  }
}
