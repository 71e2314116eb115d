/**
 * Publishes to streams and waits for the acknowledgements. As the client's own `publish`, at a fraction of its cost: one
 * subscription takes all answers, and nothing but an entry in a map is made for each write. It has no deadlines: those
 * are the caller's, who tells when it waits no more.
 */
import {
  MsgHdrsImpl,
  NoRespondersError,
  PermissionViolationError,
  createInbox,
  type Msg,
  type NatsConnection,
} from "@nats-io/nats-core";
import { JetStreamApiError, type ApiError } from "@nats-io/jetstream";
import { ProtocolError, toError } from "@stingray/protocol";

/** The header of markers. */
export const OPERATION = "KV-Operation";
/** With more writes under way than these, those of one round of the event loop go out together: one call of the system. */
const FEW = 8;

export interface Write {
  readonly subject: string;
  readonly data: Uint8Array;
  /** By which the broker knows a resend. */
  readonly id: string;
  /** Sequence that the subject must have; 0 none ever; undefined any. */
  readonly expected: number | undefined;
  /** What a marker says that has no row. @defaultValue none */
  readonly operation?: "DEL" | undefined;
}

interface Pending {
  readonly subject: string;
  readonly resolve: (sequence: number) => void;
  readonly reject: (error: unknown) => void;
}

export class Publisher {
  readonly #connection: NatsConnection;
  readonly #inbox: string;
  readonly #pending = new Map<string, Pending>();
  #subscribed = false;
  #last = 0;
  /** What is handed to the connection with the end of this round of the event loop. */
  #gathered: (() => void)[] = [];

  constructor(connection: NatsConnection, inboxPrefix: string | undefined) {
    this.#connection = connection;
    this.#inbox = createInbox(inboxPrefix);
  }

  /**
   * The sequence under which it was stored. `forget` is called when nobody waits any more.
   * @throws JetStreamApiError; NoRespondersError; what the connection throws
   */
  publish(write: Write): { stored: Promise<number>; forget: () => void } {
    const token = (++this.#last).toString(36);
    const stored = new Promise<number>((resolve, reject) => {
      this.#pending.set(token, { subject: write.subject, resolve, reject });
      const send = (): void => {
        if (!this.#pending.has(token)) return; // nobody waits for it any more
        try {
          this.#send(write, token);
        } catch (error) {
          this.#pending.delete(token);
          reject(toError(error));
        }
      };
      if (this.#pending.size <= FEW) send();
      else if (this.#gathered.push(send) === 1) setImmediate(this.#sendGathered);
    });
    return { stored, forget: () => void this.#pending.delete(token) };
  }

  #send({ subject, data, id, expected, operation }: Write, token: string): void {
    if (!this.#subscribed) this.#subscribe();
    const headers: Record<string, string[]> = { "Nats-Msg-Id": [id] };
    if (expected !== undefined) headers["Nats-Expected-Last-Subject-Sequence"] = [String(expected)];
    if (operation !== undefined) headers[OPERATION] = [operation];
    this.#connection.publish(subject, data, {
      reply: `${this.#inbox}.${token}`,
      headers: MsgHdrsImpl.fromRecord(headers),
    });
  }

  readonly #sendGathered = (): void => {
    const gathered = this.#gathered;
    this.#gathered = [];
    for (const send of gathered) send();
  };

  /** The connection has met an error: a subject that it may not write to is answered by nothing else. */
  refused(error: Error): void {
    if (!(error instanceof PermissionViolationError) || error.operation !== "publish") return;
    for (const [token, { subject, reject }] of this.#pending) {
      if (subject !== error.subject) continue;
      this.#pending.delete(token);
      reject(error);
    }
  }

  #subscribe(): void {
    this.#subscribed = true;
    this.#connection.subscribe(`${this.#inbox}.*`, {
      callback: (error, message) => {
        if (error === null) this.#answered(message);
        else this.#failed(error);
      },
    });
  }

  /** The subscription is refused, or over. */
  #failed(error: Error): void {
    this.#subscribed = false;
    for (const { reject } of this.#pending.values()) reject(error);
    this.#pending.clear();
  }

  #answered(message: Msg): void {
    const token = message.subject.slice(this.#inbox.length + 1);
    const pending = this.#pending.get(token);
    if (pending === undefined) return; // given up, or answered before
    this.#pending.delete(token);
    if (message.data.length === 0 && message.headers?.code === 503) {
      pending.reject(new NoRespondersError(pending.subject));
      return;
    }
    try {
      const answer = message.json<{ seq?: unknown; error?: ApiError }>();
      if (answer.error !== undefined) pending.reject(new JetStreamApiError(answer.error));
      else if (typeof answer.seq === "number") pending.resolve(answer.seq);
      else pending.reject(new ProtocolError("the broker acknowledged a write without its sequence"));
    } catch (error) {
      pending.reject(error);
    }
  }
}
