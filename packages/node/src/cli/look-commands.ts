/** The commands that look at clusters: their options. */
import { Option, type Command } from "commander";
import { runtimeRoot } from "../runtime-files.js";
import { addClusterOptions, addConnectionOptions } from "./connection-options.js";
import type { ActorsFlags } from "./actors.js";
import type { MemoryFlags } from "./memory.js";
import type { Output } from "./output.js";
import type { StatusFlags } from "./status.js";
import { parseWhole } from "./values.js";
import type { WhyFlags } from "./why.js";

/** Objects of one node that can be shown. */
const MAX_LISTED = 100_000;

export function addStatus(command: Command, out: Output, done: (code: number) => void): Command {
  return addClusterOptions(addConnectionOptions(command))
    .description(
      "Shows the nodes, what they have free and what waits. Without an address: what runs on this machine.",
    )
    .option("--json", "as JSON")
    .action(async (flags: StatusFlags) => {
      const { showStatus } = await import("./status.js");
      done(await showStatus(flags, runtimeRoot(), out));
    });
}

export function addActors(command: Command, out: Output, done: (code: number) => void): Command {
  return addClusterOptions(addConnectionOptions(command))
    .description(
      "Shows actors: where they live, how often they were restarted, calls that run and wait in their process, its memory. " +
        "Without an address: what runs on this machine.",
    )
    .option("--all", "those that died lately, too")
    .option("--state <state...>", "only those in these states: ALIVE, PENDING, RESTARTING, PASSIVE, DEAD")
    .addOption(
      new Option("--limit <n>", "actors to show, those that changed last")
        .argParser(parseWhole(0, MAX_LISTED))
        .default(50),
    )
    .option("--json", "as JSON; bytes and milliseconds")
    .action(async (flags: ActorsFlags) => {
      const { showActors } = await import("./actors.js");
      done(await showActors(flags, runtimeRoot(), out));
    });
}

export function addMemory(command: Command, out: Output, done: (code: number) => void): Command {
  return addClusterOptions(addConnectionOptions(command))
    .description(
      "Shows what is in the object stores: whose it is, who needs it, where it was made. " +
        "Without an address: what runs on this machine.",
    )
    .addOption(
      new Option("--limit <n>", "objects to show of each node, owner or place")
        .argParser(parseWhole(0, MAX_LISTED))
        .default(50),
    )
    .addOption(
      new Option("--sort <by>", "size: largest first; age: oldest first")
        .choices(["size", "age"])
        .default("size"),
    )
    .addOption(
      new Option("--group-by <what>", "a table for each of them")
        .choices(["node", "owner", "origin"])
        .default("node"),
    )
    .option("--node <id>", "only objects on this node")
    .option("--owner <id>", "only objects of this process")
    .option("--stats-only", "no objects, only the figures of each node")
    .option("--json", "as JSON; bytes and milliseconds")
    .action(async (flags: MemoryFlags) => {
      const { showMemory } = await import("./memory.js");
      done(await showMemory(flags, runtimeRoot(), out));
    });
}

export function addWhy(command: Command, out: Output, done: (code: number) => void): Command {
  return addClusterOptions(addConnectionOptions(command))
    .description(
      "Says why a task, an actor or a placement group is not done: what it waits for, since when, and why no node takes it. " +
        "Without one: all that waits. Without an address: in what runs on this machine.",
    )
    .argument(
      "[id]",
      "of a task, of an object that it makes (ObjectRef.id), of an actor or a group; warnings and stingray why show them",
    )
    .option("--json", "as JSON")
    .action(async (about: string | undefined, flags: WhyFlags) => {
      const { showWhy } = await import("./why.js");
      done(await showWhy(about, flags, runtimeRoot(), out));
    });
}
