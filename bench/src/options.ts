import { parseArgs } from "node:util";
import { InvalidOptionError } from "@stingray/protocol";

/** What the command line asks for. */
export interface BenchOptions {
  suite: string;
  json?: string | undefined;
  /** Peers to measure beside ours. */
  vs: readonly "ray"[];
  /** @defaultValue 4 */
  rounds: number;
  /** Shortest duration of a round in seconds. @defaultValue 2 */
  seconds: number;
  /** Only the cases whose name contains this text (upper and lower case are the same). */
  only?: string | undefined;
  /** `nats` sends everything over the broker. @defaultValue "auto" */
  links: "auto" | "nats";
  /** Leaves the raw broker and the raw socket out. @defaultValue true */
  floors: boolean;
  help: boolean;
}

export const HELP = `Usage: npm run bench -- micro [options]

Measures Stingray with the cases of Ray's own microbenchmark, on a cluster that the run starts and ends itself.
Next to each row stand the floors of the same run: the raw broker and the raw Unix socket between two processes.

Options
  --json FILE      also write the figures, all rounds included, to FILE
  --vs ray         run the same cases with Ray from PyPI, its rounds taking turns with ours
                   (the first time it is installed into the cache directory, which takes some minutes)
  --rounds N       rounds of each case (4)
  --seconds N      shortest duration of a round in seconds (2)
  --only TEXT      only the cases whose name contains TEXT
  --links nats     send everything over the broker, even between processes of one machine
  --no-floors      leave the floors out
  --help           show this text

Examples
  npm run bench -- micro --only "1:1 actor" --rounds 2
  npm run bench -- micro --vs ray --json bench/out/micro.json

Exit status: 0 when every case ran (whether or not it reached what was asked), 1 when one of ours failed, 2 for a
wrong command line, 130 when it was stopped by a signal.`;

/** Reads the command line. Throws InvalidOptionError for anything it does not know. */
export function parseOptions(args: readonly string[]): BenchOptions {
  const { values, positionals } = parse(args);
  const vs = values.vs ?? [];
  for (const peer of vs) {
    if (peer !== "ray") throw new InvalidOptionError(`--vs ${peer}: the only peer that can be run is "ray"`);
  }
  const links = values.links ?? "auto";
  if (links !== "auto" && links !== "nats") {
    throw new InvalidOptionError(`--links ${links}: say "nats" or "auto"`);
  }
  if (positionals.length > 1) {
    throw new InvalidOptionError(`one suite at a time: ${positionals.join(", ")}; see --help`);
  }
  return {
    suite: positionals[0] ?? "micro",
    json: values.json,
    vs: vs.includes("ray") ? ["ray"] : [],
    rounds: positive("--rounds", values.rounds ?? "4", true),
    seconds: positive("--seconds", values.seconds ?? "2", false),
    only: values.only,
    links,
    floors: !values["no-floors"],
    help: values.help ?? false,
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        json: { type: "string" },
        vs: { type: "string", multiple: true },
        rounds: { type: "string" },
        seconds: { type: "string" },
        only: { type: "string" },
        links: { type: "string" },
        "no-floors": { type: "boolean" },
        help: { type: "boolean", short: "h" },
      },
    });
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new InvalidOptionError(`${reason}; see --help`, { cause });
  }
}

function positive(option: string, text: string, whole: boolean): number {
  const value = Number(text);
  if (!(value > 0) || value === Infinity || (whole && !Number.isInteger(value))) {
    throw new InvalidOptionError(`${option} ${text}: must be a ${whole ? "whole number" : "number"} above 0`);
  }
  return value;
}
