/** How the parts of durable mailboxes are put together, and what of them is served. */
import { ControlStore } from "@stingray/gcs-kv";
import { MailboxLog } from "@stingray/mailbox";
import { Mailbox, Op, ProtocolError, isProcessId, mailboxTaken, type JobId } from "@stingray/protocol";
import * as t from "../agent/tokens.js";
import { MailboxFeeds } from "./feeds.js";
import { Mailboxes } from "./mailboxes.js";

/** Registers the parts. */
export function provideMailboxes(provide: t.Provide, get: t.Get): void {
  provide(t.MAILBOX_LOG, (of) => {
    const { subjects, storage, replicas } = of(t.CONFIG);
    return new MailboxLog({ link: linkOf(of), subjects, storage, replicas });
  });
  provide(
    t.MAILBOXES,
    (of) =>
      new Mailboxes(of(t.ACTOR_BOOK), {
        link: linkOf(of),
        log: of(t.MAILBOX_LOG),
        arrived: (entry) => get(t.ACTOR_SLEEP).arrived(entry),
        dropped: ({ actor, className }, count) =>
          get(t.FAILED)(
            `keep more calls set aside of actor ${className} (${actor})`,
            new RangeError(
              `the ${count} oldest were dropped: look at them with callsSetAside(), and retry or drop them`,
            ),
          ),
        failed: of(t.FAILED),
      }),
  );
  provide(
    t.MAILBOX_FEEDS,
    (of) =>
      new MailboxFeeds(of(t.ACTOR_BOOK), { link: linkOf(of), log: of(t.MAILBOX_LOG), failed: of(t.FAILED) }),
  );
}

/** The job is over: what was kept for its actors goes, and then its rows. Asked for again meanwhile, it is done once. */
export function cleanUpRows(get: t.Get, job: JobId): Promise<void> {
  const { store } = get(t.TABLES);
  const underWay = cleaning.get(store) ?? new Map<JobId, Promise<void>>();
  cleaning.set(store, underWay);
  let done = underWay.get(job);
  if (done === undefined) {
    done = removeRows(get, job).finally(() => underWay.delete(job));
    underWay.set(job, done);
  }
  return done;
}
const cleaning = new WeakMap<object, Map<JobId, Promise<void>>>();

async function removeRows(get: t.Get, job: JobId): Promise<void> {
  // Where the book can't catch up, they are read anew.
  const all = await get(t.ACTOR_BOOK)
    .all()
    .catch(() => undefined);
  const own = all?.filter(({ value }) => value.spec.job === job);
  const mailboxes = get(t.MAILBOXES);
  for (const { value } of own ?? get(t.ACTOR_BOOK).entries()) {
    const { spec, state } = value;
    const gone = spec.job === job && (!spec.detached || state === "DEAD");
    if (gone && spec.durable === true) await mailboxes.drop(spec);
  }
  await get(t.TABLES).store.cleanUpJob(job, own);
}

function linkOf(of: t.Get): ControlStore["link"] {
  const { store } = of(t.TABLES);
  if (store instanceof ControlStore) return store.link;
  throw new ProtocolError("durable mailboxes need tables that are on a broker");
}

/** What processes ask, and workers tell. */
export function serveMailboxes(get: t.Get): void {
  const { inbox } = get(t.TRANSPORT);
  const mailboxes = get(t.MAILBOXES);
  const feeds = get(t.MAILBOX_FEEDS);
  inbox.serve(Mailbox.append, async ({ actor, calls }, channel) => {
    const id = channel.peer.process ?? channel.peer.endpoint;
    if (!isProcessId(id)) throw new ProtocolError(`calls are kept for processes, not for ${id}`);
    const wanted = (): boolean => channel.closed === undefined;
    const refused = await mailboxes.append(actor, { id, node: channel.peer.node, wanted }, calls);
    return refused.length === 0 ? {} : { refused };
  });
  inbox.serve(Mailbox.setAside, async ({ actor, epoch, call }, channel) => {
    await mailboxes.setAside(actor, epoch, call, () => channel.closed === undefined);
    return {};
  });
  inbox.serve(Mailbox.listSetAside, async ({ actor }) => ({ calls: await mailboxes.listSetAside(actor) }));
  inbox.serve(Mailbox.resolveSetAside, async ({ actor, id, how }) => ({
    found: await mailboxes.resolveSetAside(actor, id, how),
  }));
  inbox.on(Op.MailboxTaken, mailboxTaken, ([, actor, epoch, taken, done], channel) =>
    feeds.taken(actor, epoch, taken, done, channel),
  );
}
