/** What a process that ran a call keeps of its results: nothing that the caller did not get, nothing of a caller that is gone. */
import { encode } from "@stingray/objectstore";
import {
  Agent,
  ObjectStoreFullError,
  Op,
  TaskStatus,
  newWorkerId,
  objectIdOf,
  taskDone,
  taskYield,
  type StoreRoom,
  type TaskDone,
} from "@stingray/protocol";
import { eventually } from "@stingray/protocol/testing";
import { expect } from "chai";
import { IncomingCall } from "../src/execute/call.js";
import type { Body } from "../src/execute/runner.js";
import type { LocalStore } from "../src/objects/local-store.js";
import type { ObjectEntry } from "../src/objects/entry.js";
import { decodeThrown } from "../src/objects/thrown.js";
import { PlayedCluster, type PlayedWorker } from "./support/process.js";

const LARGE = 200_000;
const ROOM: StoreRoom = { path: "/nowhere", file: 1, length: LARGE * 2, warm: false };
/** Keeps nothing: only what is said about objects matters here. */
const store: LocalStore = {
  attach: () => {},
  putSmall: (encoded) => ({ bytes: encoded.bytes(), free: () => {} }),
  slabReady: () => Promise.resolve(),
  write: () => {},
  read: () => undefined,
  readSpan: () => undefined,
  close: () => {},
};

describe("a process that runs calls", () => {
  let played: PlayedCluster;
  let caller: PlayedWorker;
  let answers: TaskDone[];
  let items: number;
  let closed = false;
  let asked = false;
  /** What the agent says to those who ask for room, by the index of the result. */
  let room: (index: number) => StoreRoom | Promise<StoreRoom>;
  beforeEach(async () => {
    played = await PlayedCluster.start();
    await played.join(store);
    caller = await played.worker();
    played.runtime.runner.serve(played.runtime.transport.inbox);
    answers = [];
    items = 0;
    closed = false;
    caller.transport.inbox.on(Op.TaskDone, taskDone, (message) => void answers.push(message));
    caller.transport.inbox.on(Op.TaskYield, taskYield, () => void items++);
    asked = false;
    played.agent.inbox.serve(Agent.storeCreate, ({ object }) => {
      asked = true;
      return room(Number(object.split(".")[2]));
    });
    room = () => ROOM;
  });
  afterEach(() => played.end());

  const run = (sequence: number, returns: number, body: Body, cancelled = false): void => {
    const { runtime, node } = played;
    const channel = runtime.transport.inbox.channel({
      endpoint: caller.process,
      process: caller.process,
      node,
    });
    const host = { blocked: () => {}, resumed: () => {}, cancelMark: () => undefined };
    const call = new IncomingCall(
      host,
      channel,
      sequence,
      "f",
      encode([]).bytes(),
      returns,
      0,
      undefined,
      "",
    );
    if (cancelled) call.cancel();
    runtime.runner.run(call, body, () => {});
  };
  const answer = (): Promise<TaskDone> => eventually(() => answers[0], "the call is answered");
  const full = (): never => {
    throw new ObjectStoreFullError("there is no room");
  };
  /** An object of this process, and one of another. */
  const references = (): { own: ObjectEntry; foreign: ObjectEntry; value: unknown; release: () => void } => {
    const { table } = played.runtime;
    const own = table.own(table.nextSequence(), 0);
    table.settle(own, { kind: "inline", bytes: encode(1).bytes() });
    const foreign = table.adopt(objectIdOf(newWorkerId(), 1, 0), played.node, true);
    const refs = [table.handle(own), table.handle(foreign)];
    return { own, foreign, value: refs, release: () => refs.forEach((ref) => ref.release()) };
  };
  const held = (): number[] => {
    const { owned, borrowed } = played.runtime.table.counts;
    return [owned, borrowed];
  };

  it("does not run what was cancelled before it could begin", async () => {
    let ran = false;
    run(1, 1, () => (ran = true), true);
    const [, , status] = await answer();
    expect([status, ran]).to.deep.equal([TaskStatus.Cancelled, false]);
  });

  it("frees the results that were stored when another can't be", async () => {
    room = (index) => (index === 1 ? full() : ROOM);
    run(1, 3, () => [new Uint8Array(LARGE), new Uint8Array(LARGE), new Uint8Array(LARGE)]);
    const [, , status, results] = await answer();
    expect(status).to.equal(TaskStatus.Failed);
    expect(decodeThrown(results[0]?.[1] as Uint8Array)).to.be.instanceOf(ObjectStoreFullError);
    await eventually(() => played.freed.length >= 2 || undefined, "they are freed");
    expect(played.freed.sort()).to.deep.equal([0, 2].map((index) => objectIdOf(caller.process, 1, index)));
  });

  it("takes back the references in results that can't be sent", async () => {
    room = full;
    const { value, release } = references();
    run(1, 2, () => [value, new Uint8Array(LARGE)]);
    await answer();
    release();
    expect(held()).to.deep.equal([0, 0]);
  });

  it("keeps the references in a result while it is stored, until its receiver has them", async () => {
    let give: (room: StoreRoom) => void = () => {};
    room = () => new Promise((resolve) => (give = resolve));
    const { own, foreign, value, release } = references();
    run(1, 1, () => ({ value, bytes: new Uint8Array(LARGE) }));
    release();
    await eventually(() => asked || undefined, "room is asked for");
    expect(held()).to.deep.equal([1, 1]);
    give(ROOM);
    const [, , status, , , refs] = await answer();
    expect(status).to.equal(TaskStatus.Ok);
    expect(refs?.map((ref) => ref.split("/")[0])).to.deep.equal([own.id, foreign.id]);
    expect(held()).to.deep.equal([1, 1]);
    expect([...(own.borrowers ?? [])]).to.deep.equal([[caller.process, 1]]);
    await goes();
    expect(held()).to.deep.equal([0, 0]);
  });

  /** The caller ends, and this process learns of it. */
  async function goes(): Promise<void> {
    played.runtime.onProcessGone((process) => (closed ||= process === caller.process));
    await caller.transport.close({ drainMs: 0 });
    await eventually(() => closed || undefined, "it is known that the caller has gone");
  }

  it("keeps nothing for a caller that went before its result was stored", async () => {
    let give: (room: StoreRoom) => void = () => {};
    room = () => new Promise((resolve) => (give = resolve));
    let over = false;
    const { value, release } = references();
    const { runtime } = played;
    const channel = runtime.transport.inbox.channel({ endpoint: caller.process, node: played.node });
    const host = { blocked: () => {}, resumed: () => {}, cancelMark: () => undefined };
    const call = new IncomingCall(host, channel, 1, "f", encode([]).bytes(), 1, 0, undefined, "");
    channel.send([Op.TaskYield, 9, 0, [0, encode(1).bytes()]]);
    await eventually(() => items > 0 || undefined, "the caller is there");
    runtime.runner.run(
      call,
      () => ({ value, bytes: new Uint8Array(LARGE) }),
      () => (over = true),
    );
    release();
    await eventually(() => asked || undefined, "room is asked for");
    await goes();
    give(ROOM);
    await eventually(() => over || undefined, "the call is over");
    await eventually(() => held().every((n) => n === 0) || undefined, "nothing is held");
  });

  it("keeps the references in an item that it sends again once", async () => {
    const { foreign, value, release } = references();
    for (const attempt of [1, 2]) {
      run(1, -1, function* () {
        yield { value };
      });
      await eventually(() => (items === attempt && answers.length === attempt) || undefined, "it is sent");
    }
    expect(foreign.pins).to.equal(1);
    release();
    await goes();
    expect([foreign.pins, ...held()]).to.deep.equal([0, 0, 0]);
  });
});
