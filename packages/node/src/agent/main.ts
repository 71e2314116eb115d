/**
 * The agent as a process of its own. Its options come as one IPC message or, without a channel, as one line of JSON
 * on standard input. With a channel it answers `{ ready }` or `{ failed }`, and ends when the channel closes: its
 * parent is gone then, however that came about.
 */
import { encodeError } from "@stingray/protocol";
import { trace } from "../trace.js";
import { Agent } from "./agent.js";
import type { AgentOptions } from "./options.js";

/** Time for workers to end when nobody is left to wait for their work. */
const GRACE_MS = 500;

const SIGNALS = ["SIGINT", "SIGTERM"] as const;
const withChannel = process.send !== undefined;
/** Of a drain that a signal asks for. */
const DRAIN_MS = 8_000;

let agent: Agent | undefined;
let drainMs = DRAIN_MS;
let starting: Promise<void> | undefined;
let draining = false;

// The parent's pipes go with it: what can't be said any more must not end us before everything is in order.
process.stdout.on("error", () => undefined);
process.stderr.on("error", () => undefined);
const say = (line: string): void => void process.stderr.write(`${line}\n`);

async function run(options: AgentOptions): Promise<void> {
  trace("agent", "options are here");
  try {
    agent = await Agent.start({ log: say, ...options });
  } catch (error) {
    await tell({ failed: encodeError(error) });
    if (!withChannel) say(error instanceof Error ? error.message : String(error));
    process.exit(1);
  }
  agent.onGone((reason) => {
    say(`the cluster declared this node dead: ${reason}. Its work was given to others; the process ends`);
    process.exit(1);
  });
  trace("agent", "ready");
  agent.onDrained((reason) => {
    trace("agent", `was drained: ${reason}`);
    process.exit(0);
  });
  await tell({ ready: agent.identity });
}

/** The first signal drains the node; the second, or the end of the parent, ends it at once. */
async function drain(signal: string): Promise<void> {
  if (draining || drainMs === 0) return end(signal);
  draining = true;
  await starting;
  agent?.drain({ reason: `${signal} to its agent`, deadlineMs: drainMs });
}

async function end(reason: string): Promise<void> {
  await starting;
  trace("agent", `ends: ${reason}`);
  await agent?.stop({ reason, graceMs: GRACE_MS });
  trace("agent", "ended");
  process.exit(0);
}

function tell(message: object): Promise<void> {
  return new Promise((resolve) => {
    if (process.send === undefined || !process.connected) resolve();
    else process.send(message, () => resolve());
  });
}

function begin(options: AgentOptions): void {
  drainMs = options.drainMs ?? DRAIN_MS;
  // A cluster inside a program ends with that, which says so by closing the channel.
  if (options.embedded !== true) for (const signal of SIGNALS) process.on(signal, () => void drain(signal));
  starting ??= run(options);
}

if (withChannel) {
  process.once("message", (message) => begin(message as AgentOptions));
  process.once("disconnect", () => void end("its parent is gone"));
} else {
  let input = "";
  process.stdin.setEncoding("utf8").on("data", (chunk: string) => {
    input += chunk;
    const line = input.indexOf("\n");
    if (line !== -1) begin(JSON.parse(input.slice(0, line)) as AgentOptions);
  });
}
