import type { Iteration } from "../measure.js";
import type { Scale } from "../scale.js";

/** Floors by name: the raw broker and the raw Unix socket, one call at a time or 1000 in flight. */
export type FloorMode = "sync" | "async";

/** One case on our side. */
export interface Case {
  /** Ray's name where it is Ray's case. */
  name: string;
  unit: string;
  /** Operations of one iteration, as Ray counts them. */
  operations(scale: Scale): number;
  /** The floors that belong beside it. */
  floors?: FloorMode;
  /** What was asked for against Ray. */
  reachRay?: number;
  /** What differs from Ray's suite at this scale. */
  note?(scale: Scale): string | undefined;
  /** Prepares it in a running cluster. */
  start(scale: Scale): Promise<Iteration>;
}

/** An iteration with nothing to undo. */
export function repeat(run: () => Promise<void>): Iteration {
  return { run, async end() {} };
}

/** For `operations` of cases whose iteration is a fixed number of operations. */
export function fixed(operations: number): () => number {
  return () => operations;
}
