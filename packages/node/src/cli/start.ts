/** `stingray start`: one node, until a signal ends it. */
import { join } from "node:path";
import { withoutCredentials } from "./connection-options.js";
import { NodeRunner, type RunningNode } from "./node-runner.js";
import type { Output } from "./output.js";
import type { StartPlan } from "./start-plan.js";
import { showBytes, showResources } from "./values.js";

/**
 * Runs the node until SIGINT, SIGTERM or SIGHUP. The caller must exit then: a start that was given up may go on.
 * @returns the exit code
 * @throws StingrayError where it can't start, or can't go on
 */
export async function runInForeground(
  plan: StartPlan,
  out: Output,
  onReady?: (text: string) => void,
): Promise<number> {
  const signals = watchSignals();
  try {
    const started = await Promise.race([NodeRunner.start(plan, (line) => out.note(line)), signals.first]);
    if (typeof started === "string") {
      // Agent and nats-server end with this process, and remove what they made.
      out.note(`${started} during the start: giving up`);
      return 130;
    }
    const { runner, node } = started;
    const text = describeNode(plan, node);
    if (onReady === undefined) out.say(text);
    else onReady(text);
    try {
      const signal = await Promise.race([signals.first, runner.lost, runner.drained]);
      if (signal === undefined) {
        out.note("the node was drained: ending");
        await runner.stop();
        return 0;
      }
      out.note(`${signal}: ending the node`);
      const ended = await Promise.race([runner.stop().then(() => true), signals.second.then(() => false)]);
      if (ended) return 0;
      out.note("a second signal: ending it by force");
      await runner.force();
      return 130;
    } catch (error) {
      await runner.stop({ drainMs: 0 });
      throw error;
    }
  } finally {
    signals.stop();
  }
}

/** The one block that says what runs, how to join it and how to end it. */
export function describeNode(plan: StartPlan, node: RunningNode): string {
  const labels = Object.entries(node.ready.labels).map(([key, value]) => `${key}=${value}`);
  const own = plan.broker.kind === "own";
  const rows: [string, string][] = [
    ["cluster", plan.cluster],
    [
      "broker",
      withoutCredentials(node.address) + (own ? " (a nats-server of this node's own: it ends with it)" : ""),
    ],
    ["resources", `${showResources(node.ready.total)}, ${showBytes(plan.objectStoreMemory)} object store`],
    ...(labels.length > 0 ? ([["labels", labels.join(", ")]] as [string, string][]) : []),
    [
      "spills to",
      plan.spillDir + (plan.spillLimit === undefined ? "" : `, at most ${showBytes(plan.spillLimit)}`),
    ],
    ["logs", plan.logFile ?? join(plan.runtimeDir, "logs", node.ready.node)],
  ];
  const how = plan.logFile === undefined ? "Ctrl-C here, or: " : "";
  return [
    `Node ${node.ready.node} is up (pid ${process.pid}).`,
    ...rows.map(([name, value]) => `  ${name.padEnd(9)}  ${value}`),
    own ? "To use it from a program, or to add a node, on this machine:" : "To use it from a program:",
    `  export STINGRAY_ADDRESS='${node.address}'`,
    ...(own ? ["  stingray start        # with that variable set: one more node"] : []),
    `To end it: ${how}stingray stop --node ${node.ready.node}`,
  ].join("\n");
}

interface Signals {
  first: Promise<NodeJS.Signals>;
  second: Promise<NodeJS.Signals>;
  stop(): void;
}

const ENDING: readonly NodeJS.Signals[] = ["SIGINT", "SIGTERM", "SIGHUP"];

function watchSignals(): Signals {
  const resolvers: ((signal: NodeJS.Signals) => void)[] = [];
  const first = new Promise<NodeJS.Signals>((resolve) => resolvers.push(resolve));
  const second = new Promise<NodeJS.Signals>((resolve) => resolvers.push(resolve));
  const onSignal = (signal: NodeJS.Signals): void => resolvers.shift()?.(signal);
  for (const signal of ENDING) process.on(signal, onSignal);
  return {
    first,
    second,
    stop: () => {
      for (const signal of ENDING) process.off(signal, onSignal);
    },
  };
}
