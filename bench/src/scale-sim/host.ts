/** A process that holds a part of the schedulers. It ends with the program that started it. */
import { Subjects, toError } from "@stingray/protocol";
import { Instance } from "./instance.js";
import type { InstanceFigures } from "./instance.js";
import type {
  EndResult,
  HostMessage,
  HostMethods,
  HostRequest,
  HostSpec,
  RunResult,
  RunSpec,
} from "./ipc.js";
import { arrivals, KINDS, planNodes } from "./plan.js";
import type { NodePlan } from "./plan.js";

/** Connections that are opened at a time. */
const AT_ONCE = 25;
const POLL_MS = 50;
const PULSE_MS = 1_000;

let nodes: NodePlan[] = [];
const instances = new Map<number, Instance>();
let latencies: number[][] = [];
let remote = 0;
let placed = 0;
let lastAt = 0;

function tell(message: HostMessage): void {
  // Who asked may have gone; this process ends with it then.
  if (process.connected) process.send?.(message, () => undefined);
}

async function start(given: HostSpec): Promise<null> {
  nodes = planNodes(given.nodes);
  const subjects = new Subjects("st", given.cluster);
  const facts = nodes.map(({ node, agent, total, labels }) => ({
    node,
    agent,
    total,
    labels,
    draining: false,
  }));
  const own = nodes.filter(({ index }) => index % given.processes === given.part);
  for (let i = 0; i < own.length; i += AT_ONCE) {
    const started = own.slice(i, i + AT_ONCE).map((plan) =>
      Instance.start({
        broker: given.broker,
        subjects,
        plan,
        facts,
        placed: (kind, ms, elsewhere) => {
          latencies[kind]?.push(ms);
          placed++;
          if (elsewhere) remote++;
          lastAt = performance.now();
        },
      }),
    );
    for (const instance of await Promise.all(started)) instances.set(instance.index, instance);
  }
  return null;
}

/** Makes the requests of this process's programs at their times, whether or not earlier ones were placed. */
async function run(o: RunSpec): Promise<RunResult> {
  latencies = KINDS.map(() => []);
  [remote, placed] = [0, 0];
  const begin = performance.now() + o.startAt - monotonicMs();
  lastAt = begin;
  const drivers = nodes.filter(({ driver }) => driver !== undefined).map(({ index }) => index);
  const schedule = arrivals({ ...o, nodes });
  const pulse = setInterval(() => {
    const plainUse = [...instances.values()].filter((one) => one.isPlain).map((one) => one.utilization);
    tell({ kind: "pulse", pulse: { placed, open: openRequests(), plainUse } });
  }, PULSE_MS);
  try {
    let last = begin;
    let now = performance.now();
    for (const arrival of schedule) {
      last = begin + arrival.at;
      const requester = instances.get(drivers[arrival.driver] ?? -1)?.requester;
      if (requester === undefined) continue; // a program of another process
      if (last > now) {
        // Also where the run is late: answers that have come must not wait for all that is to be asked.
        await turn();
        now = performance.now();
        if (last > now) await pause(last - now);
        now = performance.now();
      }
      requester.request(arrival, last);
    }
    await until(() => openRequests() === 0, last - performance.now() + o.deadlineMs);
  } finally {
    clearInterval(pulse);
  }
  const requesters = [...instances.values()].flatMap((one) => one.requester ?? []);
  return {
    latencies,
    remote,
    forgotten: openRequests(),
    reasons: requesters.flatMap((one) => one.openReasons()),
    lastAt: lastAt - begin,
  };
}

async function end({ deadlineMs }: { deadlineMs: number }): Promise<EndResult> {
  for (const { requester } of instances.values()) requester?.end();
  const broken = (): string[] =>
    [...instances.values()].filter((one) => !one.isWhole).map((one) => one.describe());
  await until(() => broken().length === 0, deadlineMs);
  const sum: Record<string, number> = {};
  for (const instance of instances.values()) {
    for (const [name, value] of Object.entries(instance.figures())) sum[name] = (sum[name] ?? 0) + value;
  }
  return { leaks: broken(), figures: sum as unknown as InstanceFigures };
}

async function stop(): Promise<null> {
  await Promise.all([...instances.values()].map((one) => one.stop()));
  instances.clear();
  return null;
}

const methods: {
  [M in keyof HostMethods]: (ask: Parameters<HostMethods[M]>[0]) => Promise<ReturnType<HostMethods[M]>>;
} = { start, run, end, stop };

function openRequests(): number {
  let open = 0;
  for (const { requester } of instances.values()) open += requester?.open ?? 0;
  return open;
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

async function until(condition: () => boolean, ms: number): Promise<void> {
  const deadline = performance.now() + ms;
  while (!condition() && performance.now() < deadline) await pause(POLL_MS);
}

function monotonicMs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1000 + nanoseconds / 1e6;
}

process.on("message", ({ id, method, ask }: HostRequest) => {
  const call = methods[method] as (ask: unknown) => Promise<unknown>;
  call(ask).then(
    (answer) => tell({ kind: "answer", id, answer }),
    (error: unknown) => tell({ kind: "error", id, message: toError(error).message }),
  );
});
process.on("disconnect", () => process.exit(0));
// A terminal sends Ctrl-C to all processes at once: the program decides what ends when.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => undefined);
