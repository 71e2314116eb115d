import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { Order } from "./child.js";

const CHILD = fileURLToPath(new URL("child.js", import.meta.url));

/** A child that has carried out one order (or begun to, for `write`), and its answer. */
export async function forkAndTell(order: Order): Promise<{ child: ChildProcess; answer: unknown }> {
  const child = fork(CHILD, { stdio: "inherit" });
  child.send(order);
  const [answer] = (await once(child, "message", { signal: AbortSignal.timeout(10_000) })) as [unknown];
  return { child, answer };
}

export async function end(child: ChildProcess, signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, "exit");
  child.kill(signal);
  await exit;
}
