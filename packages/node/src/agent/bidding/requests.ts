/**
 * Plain NATS requests of an agent: one wildcard subscription for all answers, and a table of what is open. Unlike the
 * client's own requests they cost one message each way, and "nobody listens" is an answer, not an error.
 */
import type { Msg, NatsConnection, Subscription } from "@nats-io/nats-core";
import {
  ConnectionError,
  ProtocolError,
  StingrayError,
  toError,
  type Method,
  type NodeId,
  type Subjects,
} from "@stingray/protocol";
import { decodeAnswer, encodeAsk } from "./envelope.js";

/** The server's word that nobody listens there. */
const NO_RESPONDERS = 503;

export interface RequestCounters {
  /** Requests that were sent. */
  sent: number;
  /** Requests that nobody listened to. */
  nobody: number;
  /** Requests without an answer in time, and answers that came later than that. */
  late: number;
  timeouts: number;
  /** Answers that could not be understood. */
  malformed: number;
}

type Open = (message: Msg | Error) => void;

export class PlainRequests {
  readonly counters: RequestCounters = { sent: 0, nobody: 0, late: 0, timeouts: 0, malformed: 0 };
  private readonly open = new Map<number, Open>();
  private last = 0;
  private subscription: Subscription | undefined;

  /** @param nc whose subjects these are; nothing is sent before `start` */
  constructor(
    private readonly nc: NatsConnection,
    private readonly subjects: Subjects,
    private readonly node: NodeId,
  ) {}

  start(): void {
    this.subscription = this.nc.subscribe(this.subjects.nodeAnswers(this.node), {
      callback: (error, message) => {
        if (error !== null) return; // a permission error: the connection's watcher reports it
        const take = this.open.get(Number(message.subject.slice(message.subject.lastIndexOf(".") + 1)));
        if (take === undefined) this.counters.late++;
        else take(message);
      },
    });
  }

  /** Ends all that is open with a ConnectionError. */
  stop(): void {
    if (this.subscription?.isClosed() === false) this.subscription.unsubscribe();
    const error = new ConnectionError("the agent is stopping, its request was given up");
    for (const take of [...this.open.values()]) take(error);
  }

  /**
   * Asks whoever listens to the subject. `nobody` where nobody does.
   * @throws ConnectionError after `timeoutMs` or when the agent stops, ProtocolError for an answer that can't be read,
   *   and the error that was answered
   */
  request<Q, A>(subject: string, method: Method<Q, A>, ask: Q, timeoutMs: number): Promise<A | "nobody"> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.open.delete(id);
        this.counters.timeouts++;
        reject(new ConnectionError(`no answer to ${method.name} on ${subject} within ${timeoutMs} ms`));
      }, timeoutMs).unref();
      const id = this.send(subject, encodeAsk(method, ask), (message) => {
        clearTimeout(timer);
        this.open.delete(id);
        if (message instanceof Error) reject(message);
        else if (message.headers?.code === NO_RESPONDERS) {
          this.counters.nobody++;
          resolve("nobody");
        } else this.settle(method, message, resolve, reject);
      });
    });
  }

  /**
   * Asks everybody who listens: `heard` gets each answer, until it returns true or `timeoutMs` are over. Resolves early
   * where nobody listens or the agent stops.
   */
  collect(
    subject: string,
    data: Uint8Array,
    timeoutMs: number,
    heard: (data: Uint8Array) => boolean,
  ): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.open.delete(id);
        resolve();
      };
      const timer = setTimeout(done, timeoutMs).unref();
      const id = this.send(subject, data, (message) => {
        if (message instanceof Error || message.headers?.code === NO_RESPONDERS || heard(message.data))
          done();
      });
    });
  }

  private settle<Q, A>(
    method: Method<Q, A>,
    message: Msg,
    resolve: (answer: A) => void,
    reject: (error: Error) => void,
  ): void {
    try {
      const answer = decodeAnswer(method, message.data);
      if (answer instanceof StingrayError) reject(answer);
      else resolve(answer);
    } catch (thrown) {
      this.counters.malformed++;
      const error = toError(thrown);
      reject(error instanceof ProtocolError ? error : new ProtocolError(error.message, { cause: thrown }));
    }
  }

  private send(subject: string, data: Uint8Array, take: Open): number {
    const id = ++this.last;
    this.open.set(id, take);
    if (this.nc.isClosed() || this.nc.isDraining()) {
      queueMicrotask(() => take(new ConnectionError("the connection to the broker is closed")));
      return id;
    }
    this.counters.sent++;
    this.nc.publish(subject, data, { reply: this.subjects.nodeAnswer(this.node, id) });
    return id;
  }
}
