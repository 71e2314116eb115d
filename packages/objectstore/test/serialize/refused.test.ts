import { Readable } from "node:stream";
import { expect } from "chai";
import { SerializationError } from "@stingray/protocol";
import { decode, encode } from "../../src/mod.js";

function refusal(value: unknown, path?: string): SerializationError {
  try {
    encode(value, path === undefined ? undefined : { path }).bytes();
  } catch (thrown) {
    expect(thrown).to.be.instanceOf(SerializationError);
    return thrown as SerializationError;
  }
  return expect.fail("it was encoded");
}

class Model {
  weights = [1];
}
class Lookup extends Map<string, number> {}

describe("what can't be sent is refused with the path to it", function () {
  this.timeout(20_000);

  const cases: [string, unknown, string][] = [
    [
      "a function in arguments",
      [{ model: { onChange: () => 1 } }],
      "args[0].model.onChange: functions can't be sent",
    ],
    ["a function itself", () => 1, "args: functions can't be sent"],
    ["a class", [Model], "args[0]: functions can't be sent"],
    ["a symbol", { a: [Symbol("s")] }, "args.a[0]: symbols can't be sent"],
    ["a boxed symbol", [Object(Symbol("s"))], "args[0]: symbols can't be sent"],
    ["odd names", { "a b": { 7: { "x-y": () => 1 } } }, 'args["a b"]["7"]["x-y"]: functions can\'t be sent'],
    ["a Map value", [new Map([["key", () => 1]])], 'args[0].get("key"): functions can\'t be sent'],
    ["a Map key", [new Map([[() => 1, 1]])], "args[0].keys()[0]: functions can't be sent"],
    ["a Set item", new Set([1, () => 1]), "args.values()[1]: functions can't be sent"],
    ["a Promise", [Promise.resolve(1)], "args[0]: a Promise can't be sent: await it first"],
    ["a WeakMap", new WeakMap(), "args: a WeakMap can't be sent: its entries can't be listed; use a Map"],
    ["a WeakSet", new WeakSet(), "args: a WeakSet can't be sent: its entries can't be listed; use a Set"],
    ["a WeakRef", new WeakRef({}), "args: a WeakRef can't be sent: send what deref() gives"],
    [
      "an instance",
      [{ m: new Model() }],
      "args[0].m: an instance of class Model can't be sent: call registerSerializer(Model) in a module that the receiver imports too, or send a plain object",
    ],
    [
      "a subclass of a collection",
      [new Lookup()],
      "args[0]: an instance of class Lookup can't be sent: call registerSerializer(Lookup, { name, encode, decode }) in a module that the receiver imports too, or send a plain object",
    ],
    ["a Proxy", [new Proxy({}, {})], "args[0]: a Proxy can't be sent: send the object behind it"],
    ["a stream", [Readable.from([1])], "args[0]: a Readable can't be sent: read it and send what it holds"],
    ["a generator", [[1].values()], "args[0]: an iterator can't be sent: send an array, [...iterator]"],
    [
      "shared memory",
      [new SharedArrayBuffer(8)],
      "args[0]: shared memory of this process's threads can't be sent to another process: send a copy, such as typedArray.slice()",
    ],
    [
      "a view on shared memory",
      [new Uint8Array(new SharedArrayBuffer(8))],
      "args[0]: shared memory of this process's threads can't be sent to another process: send a copy, such as typedArray.slice()",
    ],
  ];
  for (const [name, value, text] of cases) {
    it(name, () => {
      const error = refusal(value, "args");
      expect(error.message).to.equal(text);
      expect(text.startsWith(String(error.detail["path"]))).to.equal(true);
    });
  }

  it("the root is called value, or as the caller says", () => {
    expect(refusal(() => 1).message).to.equal("value: functions can't be sent");
    expect(refusal({ f: () => 1 }, "result").message).to.equal("result.f: functions can't be sent");
  });

  it("a detached buffer", () => {
    const buffer = new ArrayBuffer(8);
    const view = new Uint8Array(buffer);
    structuredClone(buffer, { transfer: [buffer] });
    const text = "value: a detached ArrayBuffer can't be sent: its memory was transferred elsewhere";
    expect(refusal(buffer).message).to.equal(text);
    expect(refusal(view).message).to.equal(text);
  });

  it("a getter that throws, with its error as the cause", () => {
    const cause = new RangeError("no value");
    const error = refusal({
      a: {
        get b(): number {
          throw cause;
        },
      },
    });
    expect(error.message).to.equal("value.a.b: reading this threw RangeError: no value");
    expect(error.cause).to.equal(cause);
  });

  it("nesting without end is an error, at both sides, and the encoder goes on working", () => {
    let list: unknown = null;
    for (let i = 0; i < 100_000; i++) list = i % 2 === 0 ? { next: list } : [list];
    expect(refusal(list).message).to.match(/^value\[0\]\.next\[0\].*…/);
    let map: unknown = null;
    for (let i = 0; i < 100_000; i++) map = new Map([[1, map]]);
    refusal(map);
    expect(decode(encode([1]).bytes())).to.deep.equal([1]);

    // ShortArray of one item, a hundred thousand times
    const deep = new Uint8Array(8 + 100_001).fill(0x61);
    deep.set([0x53, 1, 0, 0]);
    new DataView(deep.buffer).setUint32(4, deep.length, true);
    deep[deep.length - 1] = 0;
    expect(() => decode(deep)).to.throw(SerializationError, "nested deeper");
  });

  it("nesting of some hundreds of levels is fine, also deep inside other calls", () => {
    let list: unknown = null;
    for (let i = 0; i < 1000; i++) list = { next: list };
    const deeper = (levels: number): unknown =>
      levels === 0 ? decode(encode(list).bytes()) : deeper(levels - 1);
    expect(deeper(1000)).to.be.an("object");
  });

  it("damaged and foreign bytes are told apart", () => {
    expect(() => decode(new Uint8Array(0))).to.throw(SerializationError, "ends 8 bytes early");
    expect(() => decode(new Uint8Array(20))).to.throw(
      SerializationError,
      "no encoded value begins like this",
    );
    const newer = encode(1).bytes().slice();
    newer[1] = 9;
    expect(() => decode(newer)).to.throw(SerializationError, "format version 9");
    const longer = new Uint8Array([...encode(1).bytes(), 0]);
    expect(() => decode(longer)).to.throw(SerializationError, "bytes behind the tree");
  });

  it("writeTo refuses a target that is too small", () => {
    const encoded = encode(new Uint8Array(5000));
    expect(() => encoded.writeTo(new Uint8Array(encoded.size - 1))).to.throw("pass a larger target");
  });
});
