import { parseArgs } from "node:util";
import { InvalidOptionError } from "@stingray/protocol";

/** What can be run. */
export const SUITES = ["micro", "objects", "actors", "scale"] as const;
/** The smallest simulated cluster that has nodes of all kinds. */
const FEWEST_NODES = 8;
export type Suite = (typeof SUITES)[number];

/** What the command line asks for. */
export interface BenchOptions {
  /** @defaultValue "micro" */
  suite: Suite;
  json?: string | undefined;
  /** Peers to measure beside ours. */
  vs: readonly "ray"[];
  /** @defaultValue 4; 1 for scale */
  rounds: number;
  /** Shortest duration of a round in seconds. @defaultValue 2 */
  seconds: number;
  /** Only the cases whose name contains this text (upper and lower case are the same). */
  only?: string | undefined;
  /** `nats` sends everything over the broker. @defaultValue "auto" */
  links: "auto" | "nats";
  /** Measure the floors, which is what plain Node does without us. @defaultValue true */
  floors: boolean;
  /** Small sizes, to see that everything runs; what was asked is not compared. @defaultValue false */
  small: boolean;
  /** scale: sizes of the clusters, ascending. @defaultValue 100, 300 and 1,000; 12 where small */
  nodes: readonly number[];
  /** scale: requests for a lease in each of them. @defaultValue 100,000; 300 where small */
  requests: number;
  /** scale: requests per second, of all programs together. @defaultValue 500; 100 where small */
  rate: number;
  help: boolean;
}

export const HELP = `Usage: npm run bench -- [micro|objects|actors|scale] [options]

  micro    the cases of Ray's own microbenchmark; next to each row stand the floors of the same run: the raw broker and
           the raw Unix socket between two processes
  objects  values in the object store: put, get, moves between processes and nodes, a broadcast; next to each row
           stands what plain Node does in the same run: a memory copy, structured clone to a thread, a TCP stream
  actors   actors: how fast they are made, calls beside the same floors over both kinds of links, durable mailboxes,
           memory, 100,000 light ones on one machine
  scale    schedulers without workers, up to a thousand of them on one broker: time to place requests of mixed shapes,
           messages and bytes for each, how even the load is, what a scheduler costs that has nothing to do

Each run starts and ends clusters of its own.

Options
  --json FILE      also write the figures, all rounds included, to FILE
  --rounds N       rounds of each case (4; scale: 1)
  --seconds N      shortest duration of a round in seconds (2)
  --only TEXT      only the cases whose name contains TEXT
  --links nats     send everything over the broker, even between processes of one machine
  --no-floors      leave out what stands beside ours, and what was asked against it
  --vs ray         micro: run the same cases with Ray from PyPI, its rounds taking turns with ours
                   (the first time it is installed into the cache directory, which takes some minutes)
  --nodes N,N      scale: sizes of the clusters (100,300,1000)
  --requests N     scale: requests in each of them (100000)
  --rate N         scale: requests per second (500)
  --small          objects, actors, scale: small values, few actors, nodes and requests, to see that everything
                   runs; nothing is asked then
  --help           show this text

Examples
  npm run bench -- micro --only "1:1 actor" --rounds 2
  npm run bench -- micro --vs ray --json bench/out/micro.json
  npm run bench -- objects --json bench/out/objects.json
  npm run bench -- objects --only "64 MiB" --rounds 2
  npm run bench -- actors --json bench/out/actors.json
  npm run bench -- scale --json bench/out/scale.json
  npm run bench -- scale --nodes 100,300 --requests 5000

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
  const suite = suiteOf(positionals[0] ?? "micro");
  if (vs.length > 0 && suite !== "micro") {
    throw new InvalidOptionError(
      `--vs ray: only micro has cases of Ray; see "npm run bench -- micro --vs ray --only gigabytes"`,
    );
  }
  if (values.small && suite === "micro") {
    throw new InvalidOptionError("--small: micro has no small sizes");
  }
  for (const option of ["nodes", "requests", "rate"] as const) {
    if (values[option] !== undefined && suite !== "scale")
      throw new InvalidOptionError(`--${option}: only scale has it; see --help`);
  }
  const small = values.small ?? false;
  return {
    suite,
    json: values.json,
    vs: vs.includes("ray") ? ["ray"] : [],
    rounds: positive("--rounds", values.rounds ?? (suite === "scale" ? "1" : "4"), true),
    seconds: positive("--seconds", values.seconds ?? "2", false),
    only: values.only,
    links,
    floors: !values["no-floors"],
    small,
    nodes: sizes(values.nodes ?? (small ? "12" : "100,300,1000")),
    requests: positive("--requests", values.requests ?? (small ? "300" : "100000"), true),
    rate: positive("--rate", values.rate ?? (small ? "100" : "500"), false),
    help: values.help ?? false,
  };
}

function suiteOf(name: string): Suite {
  const suite = SUITES.find((one) => one === name);
  if (suite === undefined)
    throw new InvalidOptionError(`there is no suite ${name}; there is ${SUITES.join(", ")}`);
  return suite;
}

function sizes(text: string): number[] {
  const all = text.split(",").map((part) => positive("--nodes", part.trim(), true));
  for (const nodes of all) {
    if (nodes < FEWEST_NODES)
      throw new InvalidOptionError(`--nodes ${nodes}: a mixed cluster has at least ${FEWEST_NODES}`);
  }
  return [...new Set(all)].sort((a, b) => a - b);
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
        nodes: { type: "string" },
        requests: { type: "string" },
        rate: { type: "string" },
        small: { type: "boolean" },
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
