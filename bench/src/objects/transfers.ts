/** Values from one node to others, against a plain TCP stream between two processes. */
import { get, kill, nodes, ready, wait } from "stingray";
import type { ActorHandle, ObjectRef } from "stingray";
import { sizeName } from "../data.js";
import { preparedSubject, sampledSubject } from "../measure.js";
import type { Sampling, Subject } from "../measure.js";
import { buildRow, OURS } from "../report.js";
import { mean } from "../stats.js";
import { must, WAIT } from "./case.js";
import type { SuiteCase } from "../suite.js";
import { bytesSentBy, emptied } from "./nodes.js";
import type { ObjectSizes } from "./sizes.js";
import { TcpStream } from "./tcp.js";
import { makeData, RemoteMate } from "./workload.js";
import type { Mate } from "./workload.js";

/** The share of the speed of the stream that was asked for. */
const SHARE_OF_TCP = 0.7;

/** Where a value is made, who reads it, and how everything is put back between two of them. */
interface Field {
  origin: string;
  readers: ActorHandle<Mate>[];
}

/** A value that a task made on one node is read on the other. */
export function transferCase(sizes: ObjectSizes, home: () => string | undefined): SuiteCase {
  const bytes = sizes.transfer;
  const figure = (samples: readonly number[]): number => bytes / 1e6 / mean(samples);
  return {
    name: `${sizeName(bytes)} from node to node`,
    unit: "GB/s",
    better: "higher",
    reach: { tcp: SHARE_OF_TCP },
    ours: () =>
      preparedSubject(OURS, async () => {
        const field = await openField(home(), 1);
        const reader = must(field.readers[0], "the reader");
        const read = async (ref: ObjectRef<Uint8Array>, seed: number): Promise<number> =>
          get(reader.fetch.remote([ref], bytes, seed), WAIT);
        return sampledSubject(OURS, samplingOf(field, bytes, read), figure);
      }),
    beside: () => [tcp(bytes, 1, figure)],
  };
}

/** A value that a task made on one node is read on many at once. */
export function broadcastCase(sizes: ObjectSizes, home: () => string | undefined): SuiteCase {
  const bytes = sizes.transfer;
  const name = `broadcast of ${sizeName(bytes)} to ${sizes.targets} nodes`;
  const seconds = (samples: readonly number[]): number => mean(samples) / 1000;
  const sent: number[] = [];
  let sentByRound: number[] = [];
  const ours = async (): Promise<Subject> => {
    const field = await openField(home(), sizes.targets);
    const read = async (ref: ObjectRef<Uint8Array>, seed: number): Promise<number> => {
      const start = performance.now();
      await get(
        field.readers.map((reader) => reader.fetch.remote([ref], bytes, seed)),
        WAIT,
      );
      return performance.now() - start;
    };
    const sampling = samplingOf(field, bytes, read);
    const sample = async (): Promise<number> => {
      const before = await bytesSentBy(field.origin);
      const took = await sampling.sample();
      const after = await bytesSentBy(field.origin);
      if (before !== undefined && after !== undefined) sent.push((after - before) / bytes);
      return took;
    };
    const subject = sampledSubject(OURS, { ...sampling, sample }, seconds);
    return {
      ...subject,
      async round(s) {
        sent.length = 0;
        const value = await subject.round(s);
        if (sent.length > 0) sentByRound.push(mean(sent));
        return value;
      },
    };
  };
  return {
    name,
    unit: "s",
    better: "lower",
    note: `tcp: ${sizes.targets} plain streams one after the other`,
    ours() {
      sentByRound = [];
      return preparedSubject(OURS, ours);
    },
    beside: () => [tcp(bytes, sizes.targets, seconds)],
    more() {
      const head = { name: `${name}: sent by the origin`, unit: "copies", better: "lower" } as const;
      const notes = [`of the ${sizes.targets} that arrived`];
      if (sentByRound.length === 0) return [];
      const rounds = new Map([[OURS, sentByRound]]);
      return [buildRow({ ...head, reach: {}, notes }, { rounds, failures: new Map() })];
    },
  };
}

/** The origin is the driver's own node, so that nobody has to ask another node about the value. */
async function openField(home: string | undefined, count: number): Promise<Field> {
  const all = await nodes();
  const origin = must(
    all.find((one) => one.node === home),
    "the driver's node",
  );
  const others = all.filter((one) => one.node !== home && one.state === "ALIVE");
  must(others[count - 1], `node ${count + 1} of ${all.length}`);
  const readers = others
    .slice(0, count)
    .map(({ node }) => RemoteMate.options({ cpus: 0, scheduling: { node } }).remote());
  await Promise.all(readers.map((reader) => ready(reader, WAIT)));
  return { origin: origin.node, readers };
}

/** Each sample sends a value that no reader has seen, when nothing is left of the one before. */
function samplingOf(
  { origin, readers }: Field,
  bytes: number,
  read: (ref: ObjectRef<Uint8Array>, seed: number) => Promise<number>,
): Sampling {
  let seed = 0;
  return {
    async sample() {
      seed++;
      const ref = makeData.options({ scheduling: { node: origin } }).remote(bytes, seed);
      try {
        await wait([ref], { ...WAIT, fetch: false });
        return await read(ref, seed);
      } finally {
        ref.release();
        await get(
          readers.map((reader) => reader.tidy.remote()),
          WAIT,
        );
        await emptied(bytes);
      }
    },
    async end() {
      await Promise.all(readers.map((reader) => kill(reader)));
    },
  };
}

function tcp(bytes: number, times: number, figure: (samples: readonly number[]) => number): Subject {
  return preparedSubject("tcp", async () => {
    const stream = await TcpStream.start(bytes);
    const sample = async (): Promise<number> => {
      let took = 0;
      for (let i = 0; i < times; i++) took += await stream.receive();
      return took;
    };
    return sampledSubject("tcp", { sample, end: () => stream.stop() }, figure);
  });
}
