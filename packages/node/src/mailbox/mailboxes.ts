/** What a process can ask about durable mailboxes: keep calls, and look at those that were set aside. */
import { decodePlain, encodePlain } from "@stingray/broker";
import type { BrokerLink } from "@stingray/gcs-kv";
import { MailboxAppender, readAll, type MailboxLog, type Producer, type Refused } from "@stingray/mailbox";
import {
  ActorDiedError,
  InvalidArgumentError,
  StaleEpochError,
  decodeError,
  keptAside,
  type ActorId,
  type ActorSpec,
  type KeptAside,
  type KeptCall,
  type SetAsideCall,
} from "@stingray/protocol";
import type { ActorBook, ActorEntry } from "../controller/actor-book.js";
import { describe } from "../controller/actor-directory.js";

export interface MailboxHooks {
  readonly link: BrokerLink;
  readonly log: MailboxLog;
  /** There is something in the mailbox of an actor that may be asleep. */
  arrived(entry: ActorEntry): void;
  /** So many calls that were set aside are gone, since newer ones were. */
  dropped(spec: ActorSpec, count: number): void;
  failed(what: string, error: unknown): void;
}

/** Calls of an actor that are kept aside: the newest, and how often it is looked whether there are more. */
const MOST_ASIDE = 1_000;
const THIN_EVERY = 20;

export class Mailboxes {
  private readonly appender: MailboxAppender;
  /** Calls that were set aside since it was looked how many there are, by actor. */
  private readonly aside = new Map<string, number>();

  constructor(
    private readonly book: ActorBook,
    private readonly hooks: MailboxHooks,
  ) {
    this.appender = new MailboxAppender(hooks.log);
  }

  /**
   * Keeps calls; resolves once they are stored.
   * @returns those that can't be kept, and why
   * @throws ActorDiedError; InvalidArgumentError where the actor's mailbox is not durable
   */
  async append(actor: string, producer: Producer, calls: readonly KeptCall[]): Promise<Refused> {
    const before = await this.durable(actor);
    const refused = await this.appender.append(actor as ActorId, producer, calls);
    const after = this.book.get(actor) ?? before;
    if (after.value.state === "DEAD") {
      await this.hooks.log.drop(actor as ActorId);
      throw died(after);
    }
    this.hooks.arrived(after);
    return refused;
  }

  /** Keeps a call among those that were set aside. */
  async setAside(actor: string, epoch: number, aside: KeptAside, wanted: () => boolean): Promise<void> {
    const { value } = await this.durable(actor);
    if (value.epoch > epoch)
      throw new StaleEpochError(
        `incarnation ${epoch} of ${describe(value.spec)} can't set calls aside: incarnation ${value.epoch} has taken its place`,
      );
    const [, { producer, callId }, [number]] = aside;
    const id = `${actor}/aside/${producer}/${number}/${callId ?? ""}`;
    const { log } = this.hooks;
    await log.setAside(actor as ActorId, encodePlain(aside), id, wanted);
    const count = this.aside.get(actor) ?? 0;
    this.aside.set(actor, (count + 1) % THIN_EVERY);
    if (count > 0) return;
    log.thinAside(actor as ActorId, MOST_ASIDE).then(
      (dropped) => {
        if (dropped > 0) this.hooks.dropped(value.spec, dropped);
      },
      (error: unknown) => this.hooks.failed(`drop the oldest calls set aside of actor ${actor}`, error),
    );
  }

  /** The calls that were set aside, oldest first. */
  async listSetAside(actor: string): Promise<SetAsideCall[]> {
    await this.durable(actor);
    const messages = await readAll(this.hooks.link, this.hooks.log.asideSource(actor as ActorId));
    return messages.map(({ revision, data }) => {
      const [, view] = keptAside(decodePlain(data), "a call that was set aside");
      return { ...view, id: String(revision) };
    });
  }

  /** Has one of them run again, behind what waits, or forgets it. False: there is none of that id. */
  async resolveSetAside(actor: string, id: string, how: "retry" | "drop"): Promise<boolean> {
    await this.durable(actor);
    const { log } = this.hooks;
    const revision = Number(id);
    if (!Number.isSafeInteger(revision) || revision <= 0) return false;
    const message = await log.asideAt(actor as ActorId, revision);
    if (message === undefined) return false;
    if (how === "retry") {
      const [, , [, ...call]] = keptAside(decodePlain(message.data), "a call that was set aside");
      // Nobody waits for it any more; the id is of this retry, since that of the call is known to have been used.
      call[6] = `set-aside/${revision}`;
      await this.append(actor, { id: "", node: undefined, wanted: () => true }, [[0, ...call]]);
    }
    await log.remove(revision);
    return true;
  }

  /** The actor has ended for good: nothing of it stays. */
  async drop(spec: ActorSpec): Promise<void> {
    this.aside.delete(spec.actor);
    if (spec.durable === true) await this.hooks.log.drop(spec.actor as ActorId);
  }

  private async durable(actor: string): Promise<ActorEntry> {
    const entry = this.book.get(actor) ?? (await this.book.fetch(actor));
    if (entry === undefined)
      throw new ActorDiedError(`actor ${actor} is gone: it ended, and its job was cleaned up`, {
        detail: { actor },
      });
    if (entry.value.state === "DEAD") throw died(entry);
    if (entry.value.spec.durable === true) return entry;
    throw new InvalidArgumentError(
      `${describe(entry.value.spec)} has no durable mailbox: make it with { mailbox: "durable" }`,
    );
  }
}

function died({ value: { spec, cause } }: ActorEntry): ActorDiedError {
  const why = cause === undefined ? undefined : decodeError(cause);
  const message = `${describe(spec)} died${why === undefined ? "" : `: ${why.message}`}`;
  return new ActorDiedError(why instanceof ActorDiedError ? why.message : message, {
    cause: why,
    detail: { actor: spec.actor },
  });
}
