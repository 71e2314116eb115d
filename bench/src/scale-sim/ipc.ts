/** What the program of the benchmark and the processes that hold the schedulers say to each other. */
import type { BrokerOptions } from "@stingray/broker/connect";
import type { InstanceFigures } from "./instance.js";

/** What a process has to hold: the nodes whose index, divided by `processes`, leaves `part`. */
export interface HostSpec {
  broker: BrokerOptions;
  cluster: string;
  nodes: number;
  part: number;
  processes: number;
}

export interface RunSpec {
  requests: number;
  /** Per second, of all processes together. */
  rate: number;
  seed: number;
  /** When the run starts, in milliseconds of the machine's monotonic clock: `process.hrtime`. */
  startAt: number;
  /** What is not placed so long after the last request is forgotten, in milliseconds. */
  deadlineMs: number;
}

/** What became of a run in one process. */
export interface RunResult {
  /** Milliseconds from the time at which each request was to be made to the grant, by kind. */
  latencies: number[][];
  /** Of these placements, those on another node. */
  remote: number;
  /** Requests without a lease at the end. */
  forgotten: number;
  /** What was said of them. */
  reasons: string[];
  /** Milliseconds from the start of the run to the last placement. */
  lastAt: number;
}

export interface EndResult {
  /** Of all nodes of the process together, since their start. */
  figures: InstanceFigures;
  /** Nodes that had not all their resources back within the deadline. */
  leaks: string[];
}

/** What a process can be asked, and what it answers. */
export interface HostMethods {
  start(spec: HostSpec): null;
  run(spec: RunSpec): RunResult;
  /** Gives everything back. */
  end(o: { deadlineMs: number }): EndResult;
  stop(o: null): null;
}

export type HostMethod = keyof HostMethods;
export type Ask<M extends HostMethod> = Parameters<HostMethods[M]>[0];
export type Answer<M extends HostMethod> = ReturnType<HostMethods[M]>;

export interface HostRequest {
  id: number;
  method: HostMethod;
  ask: unknown;
}

/** Once a second while a run goes on. */
export interface Pulse {
  placed: number;
  open: number;
  /** Share of the CPUs that is lent, of the plain nodes without programs of this process. */
  plainUse: number[];
}

export type HostMessage =
  | { kind: "answer"; id: number; answer: unknown }
  | { kind: "error"; id: number; message: string }
  | { kind: "pulse"; pulse: Pulse };
