/** `init()` and `shutdown()`: this program's life as a driver. */
import { Agent, ConnectionError, Op, logs, newDriverId, type ProcessId } from "@stingray/protocol";
import { registerHandles } from "@stingray/actor/internal";
import type { Transport } from "@stingray/broker";
import "@stingray/util"; // so that queues and their kin are known when they come in a result
import { trace } from "@stingray/node/trace";
import { Runtime, initReached, openLocalStore, processState } from "@stingray/task/internal";
import { Cluster } from "./cluster.js";
import { checkInitOptions, optionsThatDiffer, type InitOptions } from "./init-options.js";
import type { DependencyContainer } from "tsyringe";
import { enter, openTransport, type Membership } from "./membership.js";
import { endWhenIdle, endWithProcess } from "./process-end.js";

/** Time for the cluster to end the job, in milliseconds. */
const JOB_END_MS = 15_000;
const DRAIN_MS = 1_000;
/** A driver that is between two agents does not wait longer than this for the second to tell it of the job's end. */
const HOME_MS = 2_000;

const warn = (message: string): void => void process.stderr.write(`stingray: ${message}\n`);

interface Driver {
  readonly cluster: Cluster;
  close(): Promise<void>;
}

let starting: Promise<Driver> | undefined;
/** Of the `init()` that started it. */
let startedWith: InitOptions = {};
let closing: Promise<void> | undefined;
/** `init()` is under way. */
let entering = false;

/**
 * Starts a cluster inside this program, or joins a running one (`address` or STINGRAY_ADDRESS). A second call returns
 * the same, and says so on standard error where it was given other options. In a worker it never resolves: what stands below it is the driver's own.
 *
 * @throws InvalidOptionError; ConnectionError where the broker or a node can't be reached; AuthError; ProtocolError
 * for a cluster of another version
 */
export function init(options: InitOptions = {}): Promise<Cluster> {
  return initBy(enter, options);
}

/** How a program comes into a cluster. */
export type Enter = typeof enter;

/** @internal The same for a cluster that is there in another way, as in tests. */
export async function initBy(enter: Enter, options: InitOptions): Promise<Cluster> {
  if (processState.isWorker) {
    initReached();
    return new Promise<never>(() => {});
  }
  checkInitOptions(options);
  await closing;
  if (starting === undefined) {
    starting = start(enter, options);
    startedWith = options;
    starting.catch(() => (starting = undefined));
  } else {
    const others = optionsThatDiffer(options, startedWith);
    if (others.length > 0)
      warn(
        `init() was called again with other options, which have no effect (${others.join(", ")}): call shutdown() first`,
      );
  }
  return (await starting).cluster;
}

/** Ends the job: its workers, actors and objects go, and a cluster inside this program with them. Idempotent. */
export async function shutdown(): Promise<void> {
  if (starting === undefined) return closing;
  const driver = starting;
  starting = undefined;
  closing = driver
    .then(
      (d) => d.close(),
      () => {},
    )
    .finally(() => (closing = undefined));
  return closing;
}

/** Whether this program is part of a cluster: between `init()` and `shutdown()`, and always in a worker. */
export function isInitialized(): boolean {
  return processState.runtime !== undefined;
}

/** Whether the program must live on for our sake. */
function busy(): boolean {
  return entering || closing !== undefined || processState.runtime?.busy === true;
}

async function start(enter: Enter, options: InitOptions): Promise<Driver> {
  trace("driver", "init() begins");
  entering = true;
  const release = endWhenIdle(busy, () => void shutdown());
  try {
    const driver = await join(enter, options);
    return {
      cluster: driver.cluster,
      close: () => driver.close().finally(release),
    };
  } catch (error) {
    release();
    throw error;
  } finally {
    entering = false;
  }
}

async function join(enter: Enter, options: InitOptions): Promise<Driver> {
  const driver = newDriverId();
  const membership = await enter(options, driver, process.env);
  trace("driver", "a node is there");
  let transport: Transport | undefined;
  try {
    transport = await openTransport(membership, driver, options.links ?? "auto");
    return await run(membership, transport, driver, options);
  } catch (error) {
    await transport?.close({ drainMs: 0 });
    await membership.leave();
    throw error;
  }
}

async function run(
  membership: Membership,
  transport: Transport,
  driver: ProcessId,
  options: InitOptions,
): Promise<Driver> {
  const { local, job } = membership;
  const viaBroker = local === undefined || options.links === "nats";
  if (viaBroker) transport.attachBroker(await membership.connection());
  const runtime = Runtime.start({
    transport,
    process: driver,
    node: local?.node,
    home: membership.home,
    findHome: membership.findHome,
    job,
    store: local === undefined ? undefined : await openLocalStore(local.storeDir),
    markDir: local?.socketDir,
    warn,
    container: await containerOf(),
    onLost: (reason) => {
      warn(`the cluster is lost: ${reason.message}`);
      runtime.fail(new ConnectionError(`the cluster is lost: ${reason.message}`, { cause: reason }));
    },
  });
  registerHandles();
  const printer = await showLogs(transport);
  runtime.home.onMoved(() => {
    runtime.home
      .request(Agent.jobStart, job)
      .catch((error: unknown) => warn(`the job could not be moved to another node: ${String(error)}`));
  });
  trace("driver", "runtime is up");
  await runtime.home.request(Agent.jobStart, job, { timeoutMs: JOB_END_MS });
  trace("driver", "job started");
  processState.runtime = runtime;
  // Other nodes are reached through the broker; the first task need not wait for that.
  const attached = attach(membership, transport, viaBroker, warn);
  const release = endWithProcess(() => {
    // The program ends: what waits in it must not come back with an error first, and be taken for its reason.
    runtime.abandon();
    return membership.endProgram === undefined ? shutdown() : membership.endProgram();
  });
  const cluster = new Cluster(runtime, membership.servers, shutdown);
  return {
    cluster,
    async close() {
      trace("driver", "shutdown() begins");
      release();
      processState.runtime = undefined;
      try {
        // Without an agent it is ended by those that are left, or there is nothing left of it.
        if (await runtime.home.reached(HOME_MS))
          await runtime.home.request(
            Agent.jobEnd,
            { job: job.job, ...(membership.isOwn === true && { last: true }) },
            { timeoutMs: JOB_END_MS },
          );
      } catch (error) {
        if (!runtime.failed)
          warn(
            `the job's end could not be announced: ${error instanceof Error ? error.message : String(error)}`,
          );
      }
      trace("driver", "job ended");
      runtime.stop();
      printer.close();
      await attached;
      await transport.close({ drainMs: DRAIN_MS });
      trace("driver", "transport closed");
      await membership.leave();
      trace("driver", "left the cluster");
    },
  };
}

async function attach(
  membership: Membership,
  transport: Transport,
  already: boolean,
  warn: (message: string) => void,
): Promise<void> {
  try {
    const nc = await membership.connection();
    if (!already) transport.attachBroker(nc);
    const { closeToTheDead } = await import("@stingray/node/driver");
    closeToTheDead(nc, membership.subjects, transport);
  } catch (error) {
    if (starting !== undefined)
      warn(`no connection to the broker, so that only local nodes can be used: ${String(error)}`);
  }
}

async function showLogs(transport: Transport): Promise<{ close(): void }> {
  const { LogPrinter } = await import("@stingray/node/driver");
  const printer = new LogPrinter();
  transport.inbox.on(Op.Logs, logs, ([, , pid, name, stream, lines]) =>
    printer.print({ pid, name, stream }, lines),
  );
  return printer;
}

async function containerOf(): Promise<() => DependencyContainer> {
  await import("reflect-metadata");
  const { container } = await import("tsyringe");
  let own: DependencyContainer | undefined;
  return () => (own ??= container.createChildContainer());
}
