/** The `stingray` command: its options and its exit codes. Each command's own code is loaded when it is asked for. */
import { readFileSync } from "node:fs";
import { ErrorCode, StingrayError, toError } from "@stingray/protocol";
import { Command, CommanderError, Option } from "commander";
import { runtimeRoot } from "../runtime-files.js";
import type { ClusterFlags } from "./cluster-state.js";
import { addClusterOptions, addConnectionOptions } from "./connection-options.js";
import { addActors, addMemory, addStatus, addWhy } from "./look-commands.js";
import type { DrainFlags } from "./drain.js";
import { terminal, type Output } from "./output.js";
import type { StartFlags } from "./start-plan.js";
import type { StopFlags } from "./stop.js";
import { parseAmount, parseBytes, parseLabels, parseResources, parseWhole } from "./values.js";

const OK = 0;
const FAILURE = 1;
const USAGE = 2;
const DEFAULT_PORT = 4222;
/** What process managers allow before they kill is 10 s at least. */
const DRAIN_SECONDS = 8;
/** Of stingray drain. */
const DEADLINE_SECONDS = 30;

/**
 * Runs the command line.
 * @param args without the program's own name
 * @returns the exit code: 0 ok, 1 failure, 2 wrong usage, 130 ended by force
 */
export async function runCommand(args: readonly string[], out: Output = terminal): Promise<number> {
  let code = OK;
  const program = build(out, (result) => (code = result));
  try {
    await program.parseAsync([...args], { from: "user" });
    return code;
  } catch (thrown) {
    if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? OK : USAGE; // it has said why
    const error = toError(thrown);
    out.note(error.message);
    if (process.env["STINGRAY_DEBUG"] !== undefined) out.note(error.stack ?? "");
    return error instanceof StingrayError && error.code === ErrorCode.InvalidOptionError ? USAGE : FAILURE;
  }
}

function build(out: Output, done: (code: number) => void): Command {
  const program = new Command("stingray")
    .description("Runs and looks at Stingray clusters: tasks, actors and objects on NATS.")
    .version(version())
    .exitOverride()
    .configureOutput({
      writeOut: (text) => out.say(text.trimEnd()),
      writeErr: (text) => out.note(text.trimEnd().replace(/^error: /, "")),
    })
    .showHelpAfterError("(stingray --help shows what there is)");
  inherit(addStart(program.command("start"), out, done), program);
  inherit(addStop(program.command("stop"), out, done), program);
  inherit(addDrain(program.command("drain"), out, done), program);
  inherit(addStatus(program.command("status"), out, done), program);
  inherit(addActors(program.command("actors"), out, done), program);
  inherit(addMemory(program.command("memory"), out, done), program);
  inherit(addResources(program.command("resources"), out, done), program);
  inherit(addWhy(program.command("why"), out, done), program);
  program.addHelpText(
    "after",
    `
Examples:
  stingray start                                   a node with a nats-server of its own
  stingray start --address nats://10.0.0.1:4222    a node of the cluster on that broker
  stingray start --detach --cpus 8 --labels zone=b
  stingray status
  stingray memory --group-by origin                what is in the object stores, and where it was made
  stingray actors --all                            those that died lately, too, and why
  stingray why                                     what waits, and for what
  stingray why d3k1x9q0f7za.17                     why that task has not ended
  stingray drain n4k2m9x0w1ab                      has that node leave; what is on it ends or moves
  stingray stop
`,
  );
  return program;
}

/** Values of an option that may be repeated. */
function collect(value: string, before: string[] | undefined): string[] {
  return before === undefined ? [value] : [...before, value];
}

function inherit(command: Command, program: Command): void {
  command.copyInheritedSettings(program);
}

function addStart(command: Command, out: Output, done: (code: number) => void): Command {
  return addClusterOptions(addConnectionOptions(command))
    .description("Starts a node on this machine, in the foreground until Ctrl-C.")
    .addOption(
      new Option("--port <port>", "of the nats-server that is started where no address is given")
        .argParser(parseWhole(1, 65_535))
        .default(DEFAULT_PORT),
    )
    .option("--cpus <n>", "CPUs to offer (default: those of this machine)", parseAmount)
    .option("--gpus <n>", "GPUs to offer (default: those of this machine)", parseWhole(0))
    .option("--memory <bytes>", "memory that tasks may declare, for example 2GiB", parseBytes)
    .option("--resources <json>", `further resources, for example '{"special": 2}'`, parseResources)
    .option("--labels <k=v,...>", "labels that tasks may ask for", parseLabels)
    .option("--object-store-memory <bytes>", "size of the object store, for example 512MiB", parseBytes)
    .option(
      "--spill-dir <dir>",
      "where objects go that don't fit into memory (default: the system's directory for temporary files)",
    )
    .option(
      "--spill-limit <bytes>",
      "what they may take there, for example 10GiB (default: leaves 5 % of the disk free)",
      parseBytes,
    )
    .option(
      "--data-host <address>",
      "address of this machine over which objects travel between nodes (default: all of them)",
    )
    .addOption(
      new Option("--data-port <port>", "and its port; 0 for a free one")
        .argParser(parseWhole(0, 65_535))
        .default(0),
    )
    .addOption(
      new Option("--replicas <n>", "copies of the cluster's tables, on a broker cluster")
        .argParser(parseWhole(1, 5))
        .default(1),
    )
    .addOption(
      new Option("--links <kind>", "nats: everything over the broker")
        .choices(["auto", "nats"])
        .default("auto"),
    )
    .addOption(
      new Option(
        "--drain <seconds>",
        "when it is told to end, work may end and objects and actors move to other nodes for so long; 0: at once",
      )
        .argParser(parseAmount)
        .default(DRAIN_SECONDS),
    )
    .option("-d, --detach", "in the background; returns when the node is up")
    .addHelpText(
      "after",
      `\nExamples:\n  stingray start --address nats://a:4222 --address nats://b:4222 --token secret\n`,
    )
    .action(async (flags: StartFlags) => {
      const { planStart } = await import("./start-plan.js");
      const plan = planStart(flags, runtimeRoot());
      if (flags.detach === true) done(await (await import("./detach.js")).runInBackground(plan, out));
      else done(await (await import("./start.js")).runInForeground(plan, out));
    });
}

function addStop(command: Command, out: Output, done: (code: number) => void): Command {
  return command
    .description("Ends the nodes that this user started on this machine with stingray start.")
    .option("-f, --force", "at once, without an orderly end")
    .option("-n, --node <id>", "only this node; may be repeated", collect)
    .option("--all", "also the nodes that are embedded in running programs")
    .action(async (flags: StopFlags) => {
      const { stopNodes } = await import("./stop.js");
      done(await stopNodes(flags, runtimeRoot(), out));
    });
}

function addDrain(command: Command, out: Output, done: (code: number) => void): Command {
  return addClusterOptions(addConnectionOptions(command))
    .description(
      "Has a node leave: it takes on nothing new, running tasks may end, actors and objects move to other nodes. " +
        "Exits with 1 where something was lost with it.",
    )
    .argument("<node>", "its id; stingray status shows them")
    .addOption(
      new Option("--deadline <seconds>", "what still runs then is ended")
        .argParser(parseAmount)
        .default(DEADLINE_SECONDS),
    )
    .option("--reason <text>", "for those who ask why it is gone", "asked for with stingray drain")
    .option("--no-wait", "return at once")
    .option("--wait", "show what is left, return when the node is gone (the default)")
    .action(async (node: string, flags: DrainFlags) => {
      const { drainNode } = await import("./drain.js");
      done(await drainNode(node, flags, runtimeRoot(), out));
    });
}

function addResources(command: Command, out: Output, done: (code: number) => void): Command {
  command.description("Changes what a running node has, until it ends. What is in use stays in use.");
  const add = (name: string): Command => {
    const sub = addClusterOptions(addConnectionOptions(command.command(name)));
    sub.copyInheritedSettings(command);
    return sub;
  };
  add("set")
    .description("Sets amounts of resources of a node.")
    .argument("<node>", "its id; stingray status shows it")
    .argument("<name=amount...>", "for example special=2 CPU=8 memory=4GiB")
    .action(async (node: string, texts: string[], flags: ClusterFlags) => {
      const { parseAmounts, setResources } = await import("./resources.js");
      done(await setResources(flags, runtimeRoot(), out, node, parseAmounts(texts)));
    });
  add("remove")
    .description("The node has none of these any more.")
    .argument("<node>", "its id; stingray status shows it")
    .argument("<name...>")
    .action(async (node: string, names: string[], flags: ClusterFlags) => {
      const { setResources } = await import("./resources.js");
      const amounts = new Map(names.map((name) => [name, 0]));
      done(await setResources(flags, runtimeRoot(), out, node, amounts));
    });
  return command;
}

function version(): string {
  const file = new URL("../../../package.json", import.meta.url);
  return (JSON.parse(readFileSync(file, "utf8")) as { version: string }).version;
}
