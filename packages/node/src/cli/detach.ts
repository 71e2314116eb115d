/** `stingray start --detach`: the same, in a process of its own that outlives the terminal. */
import { fork } from "node:child_process";
import { mkdir, open } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { ConnectionError } from "@stingray/protocol";
import { prepareRuntimeRoot } from "../runtime-files.js";
import type { Output } from "./output.js";
import type { StartPlan } from "./start-plan.js";

/** What the background process tells the one that started it. */
export type DetachedMessage = { up: string } | { failed: string };

const MAIN = fileURLToPath(new URL("./detached-main.js", import.meta.url));
/** The node's own start has a deadline; this one is for a process that says nothing at all. */
const START_TIMEOUT_MS = 120_000;

/** Starts the node in the background and returns when it is up. @throws ConnectionError with what it said if it is not */
export async function runInBackground(plan: StartPlan, out: Output): Promise<number> {
  await prepareRuntimeRoot(plan.runtimeDir);
  const logFile = join(plan.runtimeDir, "logs", `${plan.node}.log`);
  await mkdir(dirname(logFile), { recursive: true, mode: 0o700 });
  const log = await open(logFile, "a", 0o600);
  const child = fork(MAIN, [], {
    execArgv: [],
    detached: true,
    stdio: ["ignore", log.fd, log.fd, "ipc"],
  });
  try {
    const message = await new Promise<DetachedMessage>((resolve, reject) => {
      const timer = setTimeout(
        () =>
          reject(new ConnectionError(`the node was not up within ${START_TIMEOUT_MS} ms; see ${logFile}`)),
        START_TIMEOUT_MS,
      );
      const settle = (then: () => void) => (): void => {
        clearTimeout(timer);
        then();
      };
      child.once("message", (value: DetachedMessage) => settle(() => resolve(value))());
      child.once("error", (cause) =>
        settle(() => reject(new ConnectionError(`the node's process can't be started`, { cause })))(),
      );
      child.once(
        "exit",
        settle(() =>
          reject(new ConnectionError(`the node's process ended while it started; see ${logFile}`)),
        ),
      );
      // Over the channel, not as arguments: those can be read by everybody.
      child.send({ ...plan, logFile } satisfies StartPlan, () => undefined);
    });
    if ("failed" in message) throw new ConnectionError(`${message.failed}\n(log: ${logFile})`);
    out.say(message.up);
    return 0;
  } catch (error) {
    child.kill("SIGTERM");
    throw error;
  } finally {
    await log.close();
    child.removeAllListeners();
    if (child.connected) child.disconnect();
    child.unref();
  }
}
