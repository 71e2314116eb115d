/** What processes do with the deaths that agents tell of: nobody waits for an answer that can't come. */
import type { NatsConnection } from "@nats-io/nats-core";
import type { Transport } from "@stingray/broker";
import { ConnectionError, WorkerCrashedError, type Subjects } from "@stingray/protocol";
import type { Death } from "./death.js";
import { subscribeDeaths } from "./feed.js";

/** Closes the channels to what has ended. `also`: told of each death first. */
export function closeToTheDead(
  nc: NatsConnection,
  subjects: Subjects,
  transport: Transport,
  also: (death: Death) => void = () => undefined,
): void {
  subscribeDeaths(nc, subjects, (death) => {
    also(death);
    const { kind, id, reason } = death;
    if (kind === "process") transport.peerDied(id, new WorkerCrashedError(`process ${id} ended: ${reason}`));
    else transport.nodeDied(id, new ConnectionError(`node ${id} is dead: ${reason}`));
  });
}
