/** Rows to write in tests, and a wait without sleeping blindly. */
import {
  newActorId,
  newAgentId,
  newDriverId,
  newGroupId,
  newJobId,
  newNodeId,
  type JobId,
} from "@stingray/protocol";
import type { ActorRow, GroupRow, JobRow, NameRow, NodeRow, ReminderRow } from "../src/mod.js";

export const nodeRow = (patch: Partial<NodeRow> = {}): NodeRow => ({
  node: newNodeId(),
  agent: newAgentId(),
  hostname: "host",
  pid: 1,
  state: "ALIVE",
  labels: { zone: "a" },
  total: { CPU: 4, GPU: 0.5 },
  startedAt: 1,
  epoch: 0,
  ...patch,
});

export const jobRow = (job: JobId = newJobId()): JobRow => ({
  spec: {
    job,
    driver: newDriverId(),
    pid: 1,
    hostname: "host",
    entry: "/app/main.js",
    root: "/app",
    namespace: "default",
    runtimeEnv: { envVars: { A: "1" } },
    execArgv: [],
    logToDriver: true,
  },
  home: newAgentId(),
  homeNode: newNodeId(),
  state: "RUNNING",
  startedAt: 1,
});

export const actorRow = (job: JobId, detached = false): ActorRow => ({
  spec: {
    actor: newActorId(),
    job,
    creator: newDriverId(),
    module: "main.js",
    className: "Counter",
    hash: "abc",
    args: new Uint8Array([1, 2, 3]),
    placement: { resources: { CPU: 1 } },
    running: {},
    namespace: "default",
    detached,
    maxRestarts: 0,
    maxTaskRetries: 0,
    maxConcurrency: 1,
    concurrencyGroups: {},
    methods: {},
  },
  state: "ALIVE",
  epoch: 3,
  restarts: 0,
});

export const reminderRow = (job: JobId, actor: string = newActorId()): ReminderRow => ({
  actor,
  job,
  name: "every now and then",
  id: "abc",
  producer: "",
  call: [0, 0, "tick", new Uint8Array([1]), 1, 0, undefined, undefined],
  schedule: { everyMs: 1000 },
  nextAt: 1,
  fired: 0,
});

export const groupRow = (job: JobId): GroupRow => ({
  group: newGroupId(),
  job,
  detached: false,
  namespace: "default",
  strategy: "PACK",
  bundles: [{ CPU: 1 }],
  state: "CREATED",
  nodes: [newNodeId()],
  agent: newAgentId(),
});

export const nameRow = (job: JobId = newJobId()): NameRow => ({ actor: newActorId(), job });

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}
