/** What a gate does to the bytes that pass through it, and how the two threads of the kit speak about it. */

/** How a connection is broken off. */
export type Cut = "silent" | "refused";

/** Of one gate, both ways alike. */
export interface GateRules {
  /** `silent`: nothing passes, and nobody is told. `refused`: connections are closed, and new ones, too. */
  readonly cut: Cut | undefined;
  /** Each byte is so late, in milliseconds. */
  readonly latencyMs: number;
  /** Bytes a second, each way. */
  readonly bytesPerSecond: number;
}

/** A gate that is not there at all, as far as its users can tell. */
export const OPEN: GateRules = { cut: undefined, latencyMs: 0, bytesPerSecond: Infinity };

/** From the test's thread to the gates'. Every one is answered under its number. */
export type GateAsk =
  | { kind: "open"; number: number; gate: number; host: string; port: number }
  | { kind: "rules"; number: number; gate: number; rules: GateRules }
  | { kind: "close"; number: number; gate: number };

/** `port`: where an opened gate listens. */
export interface GateAnswer {
  number: number;
  port?: number | undefined;
  error?: string | undefined;
}
