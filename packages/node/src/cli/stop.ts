/** `stingray stop`: ends what this user runs on this machine. */
import { ConnectionError } from "@stingray/protocol";
import { isAlive } from "../process-info.js";
import { listNodeFiles, type NodeFile } from "../runtime-files.js";
import { removeRemains, sweepDeadNodes } from "../sweep.js";
import type { Output } from "./output.js";

export interface StopFlags {
  force?: boolean;
  /** Ids of nodes. */
  node?: string[];
  /** Also the nodes of embedded clusters, which belong to programs that run. */
  all?: boolean;
}

/** When a node has drained, it ends its workers within 10 s, and its broker after it. Milliseconds. */
const GRACE_MS = 15_000;
const KILL_WAIT_MS = 3_000;
const POLL_MS = 25;

/** @returns the exit code. @throws ConnectionError where a named node is unknown or a process can't be ended */
export async function stopNodes(flags: StopFlags, runtimeDir: string, out: Output): Promise<number> {
  const running = await listNodeFiles(runtimeDir);
  const chosen = choose(running, flags);
  await Promise.all(chosen.map((node) => stopNode(node, flags.force === true, out)));
  for (const node of await sweepDeadNodes(runtimeDir)) {
    if (!chosen.some((one) => one.node === node)) out.say(`removed what the dead node ${node} had left`);
  }
  const spared = running.filter((node) => !chosen.includes(node));
  for (const { node, launcher } of flags.node === undefined ? spared : []) {
    out.say(
      `left alone: node ${node} of the program with pid ${launcher.pid} (end the program, or say --all)`,
    );
  }
  if (running.length === 0) out.say("nothing to stop: no node of this user runs on this machine");
  return 0;
}

function choose(running: readonly NodeFile[], flags: StopFlags): NodeFile[] {
  if (flags.node === undefined) {
    return running.filter((node) => flags.all === true || node.startedBy === "command");
  }
  return flags.node.map((id) => {
    const found = running.find(({ node }) => node === id);
    if (found !== undefined) return found;
    const others = running.map(({ node }) => node).join(", ");
    throw new ConnectionError(
      `no node ${id} of this user runs on this machine; ${others === "" ? "none does" : `there are: ${others}`}`,
    );
  });
}

/** Through the process that started it, which ends agent and broker in order; an embedding program is not touched. */
async function stopNode(file: NodeFile, force: boolean, out: Output): Promise<void> {
  const agent = { pid: file.pid, startTime: file.startTime };
  const targets = file.startedBy === "command" ? [file.launcher, agent] : [agent];
  const [first = agent] = targets;
  const what = `node ${file.node} (pid ${first.pid})`;
  if (!force) {
    signal(first, "SIGTERM");
    const graceMs = GRACE_MS + (file.startedBy === "command" ? (file.drainMs ?? 0) : 0);
    if (await gone(targets, graceMs)) {
      await removeRemains(file);
      out.say(`ended ${what}`);
      return;
    }
    out.note(`${what} did not end within ${graceMs / 1000} s`);
  }
  for (const target of targets) signal(target, "SIGKILL");
  if (!(await gone(targets, KILL_WAIT_MS))) {
    throw new ConnectionError(
      `${what} can't be ended; look at it with: ps -fp ${targets.map(({ pid }) => pid).join()}`,
    );
  }
  await removeRemains(file);
  out.say(`killed ${what}`);
}

interface Target {
  pid: number;
  startTime: string;
}

function signal(target: Target, name: NodeJS.Signals): void {
  if (!isAlive(target.pid, target.startTime)) return;
  try {
    process.kill(target.pid, name);
  } catch {
    // It ended between the two lines.
  }
}

async function gone(targets: readonly Target[], timeoutMs: number): Promise<boolean> {
  const deadline = Date.now() + timeoutMs;
  while (targets.some(({ pid, startTime }) => isAlive(pid, startTime))) {
    if (Date.now() > deadline) return false;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  return true;
}
