import { expect } from "chai";
import {
  ERROR_CLASSES,
  ErrorCode,
  GetTimeoutError,
  OutOfMemoryError,
  StingrayError,
  TaskError,
  TimeoutError,
  WorkerCrashedError,
  decodeError,
  encodeError,
  toError,
} from "../src/mod.js";
import type * as ours from "../src/errors.js";

describe("errors", () => {
  it("have stable codes, one each, and are found by them", () => {
    const codes = Object.values(ErrorCode);
    expect(new Set(codes).size).to.equal(codes.length);
    for (const [name, code] of Object.entries(ErrorCode))
      expect(ERROR_CLASSES.get(code)?.name).to.equal(name);
  });

  it("know their ancestors", () => {
    const error = new GetTimeoutError("late");
    expect(error)
      .to.be.instanceOf(GetTimeoutError)
      .and.instanceOf(TimeoutError)
      .and.instanceOf(StingrayError)
      .and.instanceOf(Error);
    expect(error).not.to.be.instanceOf(TaskError);
    expect(new TimeoutError("late")).not.to.be.instanceOf(GetTimeoutError);
    expect(new OutOfMemoryError("x").retryable).to.equal(true);
    expect(new Error("plain")).not.to.be.instanceOf(StingrayError);
    expect({ code: "TIMEOUT" }).not.to.be.instanceOf(TimeoutError);
  });

  it("are recognised across copies of the package, as two installations make", async () => {
    const url = new URL("../src/errors.js", import.meta.url).href;
    const other = (await import(`${url}?copy=2`)) as typeof ours;
    const foreign = new other.GetTimeoutError("late");
    expect(foreign.constructor).not.to.equal(GetTimeoutError);
    expect(foreign).to.be.instanceOf(GetTimeoutError).and.instanceOf(TimeoutError);
  });

  it("travel with code, message, detail, stack and causes", () => {
    const cause = new WorkerCrashedError("it ended", { detail: { pid: 7, signal: "SIGKILL" } });
    const back = decodeError(encodeError(new TaskError("square failed", { cause })));
    expect(back).to.be.instanceOf(TaskError);
    expect(back.message).to.equal("square failed");
    expect(back.cause).to.be.instanceOf(WorkerCrashedError);
    expect((back.cause as WorkerCrashedError).detail).to.deep.equal({ pid: 7, signal: "SIGKILL" });
    expect(back.stack).to.include("errors.test");
  });

  it("of user code come back in their own class, or under its name, as causes", () => {
    class Mine extends Error {}
    const inner = new Mine("inner");
    const outer = new RangeError("outer", { cause: inner });
    const back = decodeError(encodeError(new TaskError("failed", { cause: outer }))).cause as Error;
    expect(back).to.be.instanceOf(RangeError).and.not.instanceOf(StingrayError);
    expect(back.stack).to.equal(outer.stack);
    expect(back.cause).to.be.instanceOf(Error).and.include({ name: "Mine", message: "inner" });
  });

  it("of a newer peer keep their code in the text", () => {
    const error = decodeError({ code: "FROM_THE_FUTURE", message: "what" });
    expect(error).to.be.instanceOf(StingrayError);
    expect(error.message).to.equal("FROM_THE_FUTURE: what");
  });

  it("are made of whatever was thrown", () => {
    expect(toError("text").message).to.equal("text");
    expect(toError(undefined)).to.be.instanceOf(Error);
    const own = new RangeError("r");
    expect(toError(own)).to.equal(own);
  });

  it("with causes in a circle end", () => {
    const a = new Error("a");
    a.cause = a;
    expect(() => encodeError(a)).not.to.throw();
  });
});
