/** The worker process: runs tasks, or hosts an actor, for the agent that started it. */
import { readFileSync } from "node:fs";
import type { NatsConnection } from "@nats-io/nats-core";
import {
  Agent,
  Op,
  PROTOCOL_VERSION,
  ProtocolError,
  Subjects,
  Worker,
  toError,
  workerExit,
} from "@stingray/protocol";
import type { Transport } from "@stingray/broker";
import { ActorHost, registerHandles } from "@stingray/actor/internal";
import { UTIL_MODULE, ownModuleUrl, processState } from "@stingray/task/internal";
import type { WorkerConfig } from "../worker-config.js";
import { EXECUTOR, RUNTIME, TRANSPORT, USER_CONTAINER, composeWorker } from "./container.js";
import { enterEnvironment } from "./environment.js";
import { enterLease } from "./lease-environment.js";
import { markOutput } from "./output.js";
import { serveShared } from "./serve-shared.js";
import { trace } from "../trace.js";
import { keepVitals } from "./vitals.js";
import { dieWithParent } from "./parent-death.js";

/** What runs when the agent asks the worker to end may go on for this long. Milliseconds. */
const LEAVE_MS = 5_000;
/** Answers on their way are waited for this long. Milliseconds. */
const DRAIN_MS = 1_000;

async function main(): Promise<void> {
  trace("worker", "modules loaded");
  const config = JSON.parse(readFileSync(0, "utf8")) as WorkerConfig;
  dieWithParent(config.parentPid);
  if (config.version !== PROTOCOL_VERSION) {
    throw new ProtocolError(
      `this worker speaks version ${PROTOCOL_VERSION} of the protocol, its agent version ${String(config.version)}: ` +
        "run the same release of stingray everywhere on this machine",
    );
  }
  processState.isWorker = true;
  // A queue may come as an argument to a module that knows its type only. What is not installed nobody sends.
  const utilities = import(ownModuleUrl(UTIL_MODULE, process.cwd())).catch(() => undefined);
  markOutput(process.stdout);
  markOutput(process.stderr);
  // The terminal's Ctrl-C reaches the whole group; the agent decides when its workers end.
  process.on("SIGINT", () => {});
  const c = await composeWorker(config, (reason) => {
    process.stderr.write(`stingray: the node agent is gone (${reason.message}); this worker ends\n`);
    process.exit(1);
  });
  const runtime = c.resolve(RUNTIME);
  const executor = c.resolve(EXECUTOR);
  const { inbox } = c.resolve(TRANSPORT);
  processState.runtime = runtime;
  registerHandles();
  executor.serve(inbox);
  const actors = new ActorHost(runtime);
  keepVitals(config, () => actors.running);
  let attached: Promise<void> | undefined;
  const attach = (): Promise<void> => (attached ??= attachBroker(config, runtime.transport));
  inbox.serve(Worker.bind, async ({ spec, runtimeEnv }) => {
    if (spec.driverNode !== config.node) void attach();
    runtime.bind(spec);
    await enterEnvironment(spec, runtimeEnv, () => c.resolve(USER_CONTAINER));
    trace("worker", "bound to a job");
    return {};
  });
  inbox.serve(
    Worker.startActor,
    async ({ spec, epoch, gpus, visible, lease, state, mailbox, taken, cause }) => {
      if (spec.creatorNode !== config.node) void attach();
      enterLease({ resources: spec.running, visible });
      await actors.start(spec, epoch, gpus, lease, state, { mailbox, taken, cause });
      return {};
    },
  );
  serveShared(inbox, actors, () => void attach());
  // process.exit() in user code must not take along what was yielded or returned before it.
  process.on("exit", () => {
    executor.flush();
    actors.flush();
  });
  inbox.serve(Worker.leaveActor, async ({ reason, deadlineMs, save }) => {
    try {
      const running = await actors.leave(reason, deadlineMs, save);
      return { running, owes: actors.owes };
    } catch (thrown) {
      return { running: actors.running, error: toError(thrown).message };
    }
  });
  inbox.serve(Worker.mayEnd, async () => {
    const { table } = runtime;
    // Whoever is at rest allocates nothing, so what it does not need any more may stay for good.
    if (table.counts.owned > 0) await table.collect();
    return { may: table.counts.owned === 0, lent: table.lent };
  });
  let leaving = false;
  const leave = async (reason: string): Promise<void> => {
    if (leaving) return;
    leaving = true;
    await Promise.all([executor.leave(LEAVE_MS), actors.stop(reason, LEAVE_MS)]);
    runtime.stop();
    await runtime.transport.close({ drainMs: DRAIN_MS });
    process.exit(0);
  };
  inbox.on(Op.WorkerExit, workerExit, ([, reason]) => void leave(reason));
  process.on("SIGTERM", () => void leave("the node stops"));
  if (config.links === "nats") await attach();
  await utilities;
  await runtime.home.request(
    Agent.workerReady,
    { worker: config.worker, pid: process.pid, version: PROTOCOL_VERSION },
    { timeoutMs: 30_000 },
  );
  trace("worker", "ready");
  // Not needed before this worker talks to another node: it must not delay the first task.
  setTimeout(() => void attach(), ATTACH_AFTER_MS);
}

/** Milliseconds after which a worker that works for its own node connects to the broker, too. */
const ATTACH_AFTER_MS = 500;

async function attachBroker(config: WorkerConfig, transport: Transport): Promise<void> {
  const { connectBroker } = await import("@stingray/broker/connect");
  for (;;) {
    try {
      const nc = await connectBroker({ ...config.broker, name: `stingray worker ${config.worker}` });
      transport.attachBroker(nc);
      await hearOfDeaths(nc, config, transport);
      return;
    } catch (error) {
      if (config.links === "nats") throw error;
      // Local work goes on without it; the broker may come back.
      await new Promise((later) => setTimeout(later, 2_000).unref());
    }
  }
}

/**
 * Of others: what they hold or owe is not waited for. Of our own node: an agent that is stopped can't end its workers
 * when the cluster gives their work to others, so they see to it themselves.
 */
async function hearOfDeaths(nc: NatsConnection, config: WorkerConfig, transport: Transport): Promise<void> {
  const { closeToTheDead } = await import("../feed/closes.js");
  const subjects = new Subjects(config.subjectRoot, config.cluster);
  closeToTheDead(nc, subjects, transport, ({ kind, id, reason }) => {
    if (kind !== "node" || id !== config.node) return;
    process.stderr.write(`stingray: node ${id} was declared dead (${reason}); this worker ends\n`);
    process.exit(1);
  });
}

main().catch((error: unknown) => {
  process.stderr.write(
    `stingray worker: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
  );
  process.exit(1);
});
