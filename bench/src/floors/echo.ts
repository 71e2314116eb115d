/**
 * The other process of a floor: answers batches of calls, over the broker or over a Unix socket. It is told how in its
 * first message, says "ready" when it listens, and ends when the benchmark does.
 */
import { createServer } from "node:net";
import { connectBroker } from "@stingray/broker/connect";
import type { BrokerOptions } from "@stingray/broker/connect";
import { answerBatch } from "./calls.js";
import { Awake, readFrames, writeFrame } from "./frames.js";

/** What the process is told. */
export type EchoOrder =
  | { link: "nats"; broker: BrokerOptions; subject: string; replies: string }
  | { link: "unix"; path: string; awake: boolean };

async function serveNats(order: Extract<EchoOrder, { link: "nats" }>): Promise<void> {
  const nc = await connectBroker(order.broker);
  nc.subscribe(order.subject, {
    callback: (error, message) => {
      if (!error) nc.publish(order.replies, answerBatch(message.data));
    },
  });
  await nc.flush();
}

async function serveUnix(order: Extract<EchoOrder, { link: "unix" }>): Promise<void> {
  const awake = order.awake ? new Awake() : undefined;
  const server = createServer((socket) => {
    socket.on("error", () => socket.destroy());
    readFrames(socket, (body) => {
      writeFrame(socket, answerBatch(body));
      awake?.touch();
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(order.path, resolve);
  });
}

process.once("disconnect", () => process.exit(0));
process.once("message", (order: EchoOrder) => {
  const serving = order.link === "nats" ? serveNats(order) : serveUnix(order);
  serving.then(
    () => process.send?.("ready"),
    () => process.exit(1),
  );
});
