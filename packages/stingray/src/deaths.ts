/** What agents tell of ended processes and nodes, so that nobody waits for an answer that can't come. */
import type { NatsConnection } from "@nats-io/nats-core";
import type { Transport } from "@stingray/broker";
import { subscribeDeaths } from "@stingray/node/driver";
import { WorkerCrashedError, type Subjects } from "@stingray/protocol";

export function watchDeaths(nc: NatsConnection, subjects: Subjects, transport: Transport): void {
  subscribeDeaths(nc, subjects, ({ kind, id, reason }) => {
    if (kind === "process") transport.peerDied(id, new WorkerCrashedError(`process ${id} ended: ${reason}`));
  });
}
