/** How what puts actors to sleep and wakes them is put together, and what of it is served. */
import { ProtocolError, Sleep, Worker as WorkerMethods, isProcessId, type ActorId } from "@stingray/protocol";
import { ActorSleep } from "../controller/actor-sleep.js";
import * as t from "./tokens.js";

/** What an end in order may take beyond the time for the last calls: `onDeactivate`, and saving. Milliseconds. */
const LEAVE_MS = 20_000;

export function provideSleep(provide: t.Provide, get: t.Get): void {
  provide(t.ACTOR_SLEEP, (of) => {
    const pool = of(t.POOL);
    const log = of(t.MAILBOX_LOG);
    return new ActorSleep(of(t.ACTOR_BOOK), {
      agent: of(t.CONFIG).agent,
      on: (worker) => get(t.ACTOR_HOST).on(worker),
      maySleep: () => !get(t.SCHEDULER).draining,
      stopFeeding: (actor) => get(t.MAILBOX_FEEDS).stopFeeding(actor),
      leaveActor: (worker, ask) =>
        of(t.PEERS)
          .channel(worker)
          .request(WorkerMethods.leaveActor, ask, { timeoutMs: ask.deadlineMs + LEAVE_MS }),
      detach: (incarnation) => get(t.ACTOR_HOST).detach(incarnation),
      endWorker: (worker, reason) => pool.end(worker, reason),
      killWorker: (worker, reason) => pool.kill(worker, reason),
      whenGone: async (worker) => pool.get(worker)?.whenGone(),
      place: (entry) => get(t.ACTOR_PLACER).place(entry),
      holds: async (actor) => (await log.occupied(actor as ActorId)).size > 0,
      occupied: () => log.occupied(),
      failed: of(t.FAILED),
    });
  });
}

export function serveSleep(get: t.Get): void {
  const { inbox } = get(t.TRANSPORT);
  const sleep = get(t.ACTOR_SLEEP);
  inbox.serve(Sleep.wake, async ({ actor }) => {
    await sleep.wake(actor);
    return {};
  });
  inbox.serve(Sleep.idle, async ({ actor, epoch }, channel) => {
    const worker = channel.peer.process ?? channel.peer.endpoint;
    if (!isProcessId(worker)) throw new ProtocolError(`actors live in workers, not in ${worker}`);
    return { going: await sleep.idle(worker, actor, epoch) };
  });
}
