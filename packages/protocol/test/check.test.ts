import { expect } from "chai";
import {
  Op,
  ProtocolError,
  resourceAmounts,
  finite,
  list,
  mapOf,
  optional,
  record,
  taskDone,
  taskRun,
  text,
  tuple,
  uint,
  valueDesc,
} from "../src/mod.js";

describe("checking decoders", () => {
  it("return what is right without copying it", () => {
    const message = [Op.TaskDone, 7, 0, [[0, new Uint8Array(3)]], 12.5];
    expect(taskDone(message, "TaskDone")).to.equal(message);
  });

  it("say where a message is wrong, however deep", () => {
    const at = (check: () => unknown): string => {
      try {
        check();
      } catch (error) {
        expect(error).to.be.instanceOf(ProtocolError);
        return (error as Error).message;
      }
      throw new Error("it was accepted");
    };
    expect(
      at(() =>
        list(tuple(text, uint))(
          [
            ["a", 1],
            ["b", -1],
          ],
          "rows",
        ),
      ),
    ).to.include("rows[1][1] must be a whole number from 0");
    expect(at(() => record({ a: mapOf(uint) })({ a: { x: "no" } }, "body"))).to.include("body.a.x must be");
    expect(at(() => taskRun([Op.TaskRun, 1, "lease", 0, 5, 1, 0], "TaskRun"))).to.include("TaskRun[4]");
    expect(at(() => valueDesc([1, [10, [], 0], "not an id"], "value"))).to.include(
      "value.object must be an object id",
    );
  });

  it("take no amount that can't be calculated with", () => {
    expect(resourceAmounts({ CPU: 0.5, memory: 1e12 }, "a")).to.deep.equal({ CPU: 0.5, memory: 1e12 });
    for (const wrong of [NaN, Infinity, -1, 1e12, "1"])
      expect(() => resourceAmounts({ CPU: wrong }, "a"), String(wrong)).to.throw(
        ProtocolError,
        "a.CPU must be",
      );
    expect(() => resourceAmounts({ "": 1 }, "a")).to.throw(ProtocolError);
    expect(() => finite(NaN, "priority")).to.throw(ProtocolError);
  });

  it("refuse wrong operations, texts without end and endless arrays", () => {
    expect(() => taskDone([Op.TaskRun, 7, 0, [], 1], "TaskDone")).to.throw(ProtocolError);
    expect(() => text("x".repeat((1 << 20) + 1), "t")).to.throw(ProtocolError);
    expect(() => list(uint, 3)([1, 2, 3, 4], "l")).to.throw(ProtocolError);
  });

  it("let a newer peer send more", () => {
    expect(tuple(uint)([1, "new"], "m")).to.deep.equal([1, "new"]);
    expect(record({ a: uint })({ a: 1, b: "new" }, "m")).to.deep.equal({ a: 1, b: "new" });
  });

  it("make an absent option absent", () => {
    expect(record({ a: optional(uint) })({ a: null }, "m")).to.deep.equal({});
  });
});
