/** Values from one process to another and back, against structured clone to a thread. */
import { get, kill, put, ready } from "stingray";
import { StingrayError } from "@stingray/protocol";
import { checkAnswer, checkStamp, randomData, sizeName, stamp } from "../data.js";
import { preparedSubject, sampledSubject } from "../measure.js";
import type { Sampling } from "../measure.js";
import { OURS } from "../report.js";
import { mean } from "../stats.js";
import { Shared, WAIT } from "./case.js";
import type { SuiteCase } from "../suite.js";
import { CloneThread } from "./clone.js";
import { collect } from "./collect.js";
import type { ObjectSizes } from "./sizes.js";
import { RemoteMate } from "./workload.js";

/** 1 MiB to another process was asked for in a fifth of the time of structured clone to a thread. */
const TIMES_CLONE = 5;
/** A clone that takes longer is not worth waiting for, in milliseconds. */
const LONGEST_CLONE_MS = 3_000;

interface Move {
  bytes: number;
  /** The value comes back as well. */
  back: boolean;
}

/** One way with each size, and 1 MiB both ways. */
export function moveCases(sizes: ObjectSizes): SuiteCase[] {
  return [
    moveCase({ bytes: sizes.small, back: false }, { clone: TIMES_CLONE }),
    moveCase({ bytes: sizes.small, back: true }),
    moveCase({ bytes: sizes.middle, back: false }),
    moveCase({ bytes: sizes.large, back: false }),
  ];
}

function moveCase(move: Move, reach?: Record<string, number>): SuiteCase {
  const source = new Shared(() => randomData(move.bytes));
  const figure = (samples: readonly number[]): number => mean(samples) * 1000;
  return {
    name: `${sizeName(move.bytes)} to another process${move.back ? " and back" : ""}`,
    unit: "µs",
    better: "lower",
    ...(reach ? { reach } : {}),
    note: "clone: structured clone to a worker thread",
    ours: () => preparedSubject(OURS, async () => sampledSubject(OURS, await ourMove(move, source), figure)),
    beside: () => [
      preparedSubject("clone", async () => sampledSubject("clone", await cloneMove(move, source), figure)),
    ],
  };
}

async function ourMove({ bytes, back }: Move, source: Shared<Uint8Array>): Promise<Sampling> {
  const data = source.get();
  const mate = RemoteMate.options({ cpus: 0 }).remote();
  await ready(mate, WAIT);
  let seed = 0;
  const there = async (): Promise<void> => {
    const ref = await put(data);
    const answer = mate.look.remote(ref);
    checkAnswer(await get(answer), bytes, seed);
    answer.release();
    ref.release();
  };
  const andBack = async (): Promise<void> => {
    const ref = await put(data);
    const answer = mate.back.remote(ref, seed + 1);
    checkStamp(await get(answer), bytes, seed + 1);
    answer.release();
    ref.release();
  };
  return {
    sample: () => timed(data, ++seed, back ? andBack : there),
    async end() {
      await kill(mate);
      source.drop();
      await collect();
    },
  };
}

async function cloneMove({ bytes, back }: Move, source: Shared<Uint8Array>): Promise<Sampling> {
  const data = source.get();
  const thread = CloneThread.start();
  let seed = 0;
  const move = async (): Promise<void> => {
    if (back) checkStamp(await thread.back(data, seed + 1), bytes, seed + 1);
    else checkAnswer(await thread.look(data), bytes, seed);
  };
  let tried = false;
  return {
    async sample() {
      const took = await timed(data, ++seed, move);
      // The first one starts the thread as well, so a limit is for what comes after.
      if (tried && took > LONGEST_CLONE_MS) {
        await thread.stop();
        throw new StingrayError(`one move took ${(took / 1000).toFixed(1)} s, and was not repeated`);
      }
      tried = true;
      return took;
    },
    async end() {
      await thread.stop();
      source.drop();
      await collect();
    },
  };
}

/** The data change before each move, so that nobody can send what was there before. */
async function timed(data: Uint8Array, seed: number, move: () => Promise<void>): Promise<number> {
  stamp(data, seed);
  const start = performance.now();
  await move();
  return performance.now() - start;
}
