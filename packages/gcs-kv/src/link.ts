/**
 * The way to the broker: calls that outlive its absence. A call is tried again until its deadline when the failure
 * is one of passing (broker restarting, leader changing); every other failure comes at once, as an error of ours.
 */
import { performance } from "node:perf_hooks";
import {
  errors,
  nanos,
  NoRespondersError,
  PermissionViolationError,
  RequestError,
  type NatsConnection,
} from "@nats-io/nats-core";
import {
  jetstream,
  JetStreamApiCodes,
  JetStreamApiError,
  jetstreamManager,
  type JetStreamClient,
  type JetStreamManager,
} from "@nats-io/jetstream";
import { Publisher } from "./publisher.js";
import { AuthError, ConnectionError, StingrayError } from "@stingray/protocol";

/** The broker's code for "a message with this id is being stored just now" (clusters, from nats-server 2.10). */
const DUPLICATE_IN_PROCESS = 10158;
/** An attempt that got no answer in this time is made again, in milliseconds (the overall deadline still holds). */
const ATTEMPT_MS = 2000;
const FIRST_PAUSE_MS = 10;
const LONGEST_PAUSE_MS = 500;

/** Ends an attempt whose answer can't come any more. */
class Interrupted extends Error {}

/** What a failed attempt means. `absent`: nobody listens there; perhaps the bucket is gone. */
type Fault = { kind: "passing" | "absent" } | { kind: "final"; error: StingrayError };

export class BrokerLink {
  readonly #interrupts = new Set<(why: Error) => void>();
  readonly #reconnected = new Set<() => void>();
  readonly #onClose = new Set<(error: StingrayError) => void>();
  #closed: StingrayError | undefined;
  /** Writes to streams. */
  readonly publisher: Publisher;

  private constructor(
    readonly connection: NatsConnection,
    readonly js: JetStreamClient,
    readonly jsm: JetStreamManager,
    readonly timeoutMs: number,
  ) {
    this.publisher = new Publisher(connection, this.inboxPrefix);
    void this.#follow();
  }

  /** @throws ConnectionError where the broker runs without JetStream */
  static async create(connection: NatsConnection, timeoutMs: number): Promise<BrokerLink> {
    const options = { checkAPI: false, timeout: ATTEMPT_MS }; // the check is a round trip that tells us nothing new
    const jsm = await jetstreamManager(connection, options);
    return new BrokerLink(connection, jetstream(connection, options), jsm, timeoutMs);
  }

  /** Prefix of subjects to receive on, as the connection's user is allowed to. */
  get inboxPrefix(): string | undefined {
    return this.jsm.getOptions().watcherPrefix;
  }

  /** Calls back after each reconnect; gives a function that ends it. */
  onReconnect(callback: () => void): () => void {
    this.#reconnected.add(callback);
    return () => this.#reconnected.delete(callback);
  }

  /** Calls back once when the link ends; gives a function that ends it. */
  onClose(callback: (error: StingrayError) => void): () => void {
    this.#onClose.add(callback);
    return () => this.#onClose.delete(callback);
  }

  /**
   * The result of `attempt`, made as often as need be within `timeoutMs`. `absent` runs before the next attempt when
   * nobody listened. @throws ConnectionError at the deadline, naming `what`; AuthError; what else `attempt` throws
   */
  async call<R>(
    what: string,
    attempt: (tries: number) => Promise<R>,
    absent?: () => Promise<void>,
    timeoutMs: number = this.timeoutMs,
  ): Promise<R> {
    const deadline = performance.now() + timeoutMs;
    for (let tries = 0; ; tries++) {
      if (this.#closed !== undefined) throw this.#closed;
      let cause: unknown;
      try {
        return await this.#bounded(attempt(tries), deadline);
      } catch (thrown) {
        cause = thrown;
        let fault = classify(thrown, this.connection);
        if (fault.kind === "absent" && absent !== undefined) {
          try {
            await this.#bounded(absent(), deadline);
          } catch (again) {
            cause = again;
            fault = classify(again, this.connection);
          }
        }
        if (fault.kind === "final") throw fault.error;
      }
      const left = deadline - performance.now();
      if (left <= 0) {
        throw new ConnectionError(
          `${what}: the broker gave no answer within ${timeoutMs} ms (${tries + 1} tries); it may or may not have been done. ` +
            `Check that nats-server runs with JetStream and can be reached`,
          { cause, detail: { timeoutMs, tries: tries + 1 } },
        );
      }
      await this.#pause(Math.min(FIRST_PAUSE_MS * 2 ** Math.min(tries, 10), LONGEST_PAUSE_MS, left));
    }
  }

  /** Ends every call under way with this error, and all later ones. */
  close(error: StingrayError): void {
    if (this.#closed !== undefined) return;
    this.#closed = error;
    this.#reconnected.clear();
    this.#interrupt(error);
    for (const callback of this.#onClose) callback(error);
    this.#onClose.clear();
  }

  async #follow(): Promise<void> {
    for await (const status of this.connection.status()) {
      if (this.#closed !== undefined) return;
      if (status.type === "error") this.publisher.refused(status.error);
      if (status.type === "reconnect") {
        // What was asked before the break is never answered; don't sit out its time.
        this.#interrupt(new Interrupted("the connection to the broker was lost"));
        for (const callback of this.#reconnected) callback();
      }
    }
    this.close(new ConnectionError("the connection to the broker is closed; open a new one with init()"));
  }

  #interrupt(why: Error): void {
    for (const interrupt of this.#interrupts) interrupt(why);
  }

  #bounded<R>(work: Promise<R>, deadline: number): Promise<R> {
    return new Promise<R>((resolve, reject) => {
      const end = (): void => {
        clearTimeout(timer);
        this.#interrupts.delete(interrupt);
      };
      const interrupt = (why: Error): void => {
        end();
        reject(why);
      };
      const left = Math.max(1, Math.min(ATTEMPT_MS, deadline - performance.now()));
      const timer = setTimeout(() => interrupt(new Interrupted(`no answer in ${Math.ceil(left)} ms`)), left);
      this.#interrupts.add(interrupt);
      work.then(
        (value) => {
          end();
          resolve(value);
        },
        (error: unknown) => {
          end();
          reject(error instanceof Error ? error : new Error(String(error)));
        },
      );
    });
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const end = (): void => {
        clearTimeout(timer);
        this.#interrupts.delete(end);
        resolve();
      };
      const timer = setTimeout(end, ms);
      this.#interrupts.add(end);
    });
  }
}

function classify(thrown: unknown, connection: NatsConnection): Fault {
  if (thrown instanceof StingrayError) return { kind: "final", error: thrown };
  if (thrown instanceof Interrupted) return { kind: "passing" };
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  const chain = [error, error.cause, error.cause instanceof Error ? error.cause.cause : undefined];
  if (connection.isClosed() || chain.some(isClosed)) {
    return final(
      new ConnectionError("the connection to the broker is closed; open a new one", { cause: error }),
    );
  }
  const denied = chain.find((e) => e instanceof PermissionViolationError);
  if (denied !== undefined) {
    return final(
      new AuthError(
        `the broker's user may not ${denied.operation} "${denied.subject}"; grant it $JS.API.> and $KV.>`,
        { cause: error },
      ),
    );
  }
  if (chain.some((e) => e instanceof NoRespondersError)) {
    if (connection.info !== undefined && connection.info.jetstream !== true) {
      return final(
        new ConnectionError(
          "the broker runs without JetStream, which holds the control store; start nats-server with -js",
          { cause: error },
        ),
      );
    }
    return { kind: "absent" };
  }
  if (error instanceof errors.TimeoutError || error instanceof RequestError) return { kind: "passing" };
  if (error instanceof JetStreamApiError) {
    if (error.code === JetStreamApiCodes.StreamNotFound) return { kind: "absent" };
    if (error.code === DUPLICATE_IN_PROCESS) return { kind: "passing" };
    if (error.code !== JetStreamApiCodes.JetStreamNotEnabledForAccount && error.status === 503) {
      return { kind: "passing" }; // no leader for the moment
    }
    return final(
      new ConnectionError(
        `the broker refused a control store operation: ${error.message} (code ${error.code})`,
        {
          cause: error,
          detail: { natsCode: error.code },
        },
      ),
    );
  }
  return final(new ConnectionError(`a control store operation failed: ${error.message}`, { cause: error }));
}

const final = (error: StingrayError): Fault => ({ kind: "final", error });
const isClosed = (error: unknown): boolean =>
  error instanceof errors.ClosedConnectionError || error instanceof errors.DrainingConnectionError;

/** Milliseconds as the broker's API wants durations. */
export const toNanos = (ms: number): number => nanos(ms);
