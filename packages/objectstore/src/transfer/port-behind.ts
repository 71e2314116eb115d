/** What a connection to a data port needs of the port. */
import type { PortLimits } from "./limits.js";
import type { Serving } from "./serving.js";
import type { Outgoing } from "./types.js";
import type { Upload } from "./uploads.js";

/** A connection as the port sees it. */
export interface Connection {
  /** Who it is, once that is proven. */
  readonly peer: string | undefined;
  /** There is room again. */
  resume(): void;
  /** Cuts what can't be expected to go on. `now`: of `performance.now()`. */
  sweep(now: number): void;
  destroy(error: Error): void;
}

/** The port behind the connection. */
export interface Port {
  readonly key: string;
  readonly limits: PortLimits;
  open(object: string, peer: string): Promise<Outgoing | undefined>;
  serving(object: string): Serving;
  upload(object: string, size: number, peer: string): Promise<Upload | undefined>;
  /** Room for bytes that are handed to the kernel. false: `resume` is called when there is some. */
  reserve(bytes: number, connection: Connection): boolean;
  free(bytes: number): void;
  sent(bytes: number): void;
  proven(connection: Connection): void;
  gone(connection: Connection, error: Error): void;
}
