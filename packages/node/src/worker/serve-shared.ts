/** What a worker serves for the agent that has it host many actors. */
import { SharedHosts, type ActorId } from "@stingray/protocol";
import type { Endpoint } from "@stingray/broker";
import type { ActorHost } from "@stingray/actor/internal";

/** @param attach connects to the broker: callers may be on any node */
export function serveShared(inbox: Endpoint, actors: ActorHost, attach: () => void): void {
  inbox.serve(SharedHosts.open, ({ host }) => {
    actors.openShared(host as ActorId);
    attach();
    return {};
  });
  inbox.serve(SharedHosts.start, async ({ own, base, epoch, state }) => {
    await actors.shared.start(own, base, epoch, state);
    return {};
  });
  inbox.serve(SharedHosts.endJob, async ({ reason, deadlineMs }) => {
    await actors.shared.endJob(reason, deadlineMs);
    return {};
  });
  inbox.serve(SharedHosts.end, ({ actor, epoch, reason, inOrder, deadlineMs }) =>
    actors.shared.end(actor, epoch, reason, inOrder, deadlineMs),
  );
}
