/** What a real node costs that has nothing to do. */
import { spawn, type ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { EmbeddedBroker } from "@stingray/broker/server";
import { listNodeFiles, runtimeRoot } from "@stingray/node";
import { StingrayError, TimeoutError } from "@stingray/protocol";
import { cpuMs, residentBytes } from "./load.js";

export const IDLE_AGENT = "an idle node: processor of its agent";

/** Of one core, from 0; memory in bytes. */
export interface IdleAgent {
  cpu: number;
  launcherCpu: number;
  memory: number;
}

const START_MS = 60_000;
const STOP_MS = 20_000;
const POLL_MS = 50;
/** What an agent does only after its start, such as starting a worker ahead and collecting what that left, is over by then. */
const SETTLE_MS = 15_000;

/** Runs `stingray start` on a nats-server of the run's own, leaves it alone for `seconds`, and ends it. */
export async function measureIdleAgent(seconds: number, signal?: AbortSignal): Promise<IdleAgent> {
  const dir = await mkdtemp(join(tmpdir(), "stingray-idle-"));
  const token = randomBytes(24).toString("base64url");
  await using broker = await EmbeddedBroker.start({ token });
  const env: NodeJS.ProcessEnv = {
    ...process.env,
    STINGRAY_RUNTIME_DIR: dir,
    STINGRAY_ADDRESS: broker.url,
    STINGRAY_TOKEN: token,
  };
  const command = fileURLToPath(new URL("../../bin/stingray.js", import.meta.resolve("stingray")));
  const child = spawn(process.execPath, [command, "start", "--object-store-memory", "256MiB"], {
    env,
    stdio: ["ignore", "ignore", "inherit"],
  });
  try {
    const agent = await agentOf(child, env);
    await pause(SETTLE_MS);
    const look = async () => ({
      at: performance.now(),
      agent: await cpuMs(agent),
      launcher: await cpuMs(child.pid ?? 0),
    });
    const before = await look();
    for (const end = before.at + seconds * 1000; performance.now() < end && !signal?.aborted;)
      await pause(POLL_MS);
    signal?.throwIfAborted();
    const after = await look();
    const elapsed = after.at - before.at;
    return {
      cpu: (after.agent - before.agent) / elapsed,
      launcherCpu: (after.launcher - before.launcher) / elapsed,
      memory: await residentBytes(agent),
    };
  } finally {
    await ended(child);
    await rm(dir, { recursive: true, force: true });
  }
}

async function agentOf(child: ChildProcess, env: NodeJS.ProcessEnv): Promise<number> {
  const deadline = performance.now() + START_MS;
  while (performance.now() < deadline) {
    if (child.exitCode !== null || child.signalCode !== null)
      throw new StingrayError(`stingray start ended with ${child.signalCode ?? child.exitCode}`);
    const file = (await listNodeFiles(runtimeRoot(env))).find(({ launcher }) => launcher.pid === child.pid);
    if (file !== undefined) return file.pid;
    await pause(POLL_MS);
  }
  throw new TimeoutError(`stingray start did not start a node within ${START_MS} ms`);
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
  await exit;
  clearTimeout(timer);
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
