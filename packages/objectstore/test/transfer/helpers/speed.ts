/**
 * How fast an object comes from another process of this machine into shared memory, against a plain TCP stream that
 * is read with 'data' events and thrown away; alternating, so that both meet the same machine.
 *
 *   node packages/objectstore/dist/test/transfer/helpers/speed.js [MiB, default 256] [rounds, default 5]
 */
import { fork } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { fileURLToPath } from "node:url";
import { newObject } from "./memory.js";
import { newAgentId, type DataAddress } from "@stingray/protocol";
import { Puller } from "../../../src/transfer/puller.js";
import { ChunkMap } from "../../../src/transfer/chunks.js";
import { Memory, Target } from "./memory.js";

const size = Number(process.argv[2] ?? 256) << 20;
const rounds = Number(process.argv[3] ?? 5);
using memory = new Memory();
const into = memory.room(size);
const child = fork(fileURLToPath(new URL("serve-child.js", import.meta.url)), [String(size)]);
interface Ready {
  address: DataAddress;
  object: string;
  plain: number;
}
const [ready] = (await once(child, "message")) as [Ready];
const puller = new Puller({ name: newAgentId() });
const source = {
  name: "child",
  address: async () => ready.address,
  read: () => Promise.reject(new Error("no RPC here")),
};

async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return size / 1e6 / (performance.now() - start);
}
async function plain(): Promise<void> {
  const socket = connect(ready.plain, "127.0.0.1");
  socket.on("data", () => {});
  await once(socket, "close");
}
async function pull(): Promise<void> {
  const target = new Target(into);
  await puller.pull({ object: ready.object, into: target, chunks: new ChunkMap(size), sources: [source] });
}
async function push(): Promise<void> {
  await puller.push({ object: newObject(), from: into, to: source });
}
const median = (values: number[]): number => values.sort((a, b) => a - b)[values.length >> 1] as number;
const best = (values: number[]): number => Math.max(...values);
const show = (values: number[]): string => `${median(values).toFixed(2)} (${best(values).toFixed(2)})`;
const ratio = (of: (values: number[]) => number): string => (of(results.pull) / of(results.plain)).toFixed(2);
const results = { plain: [] as number[], pull: [] as number[], push: [] as number[] };
await pull();
for (let i = 0; i < rounds; i++) {
  results.plain.push(await timed(plain));
  results.pull.push(await timed(pull));
  results.push.push(await timed(push));
}
console.log(
  `${size >> 20} MiB, GB/s, median (best): plain ${show(results.plain)}, pull ${show(results.pull)}, ` +
    `push ${show(results.push)}; pull/plain ${ratio(median)} (${ratio(best)})`,
);
puller.close();
child.disconnect();
await once(child, "exit");
