import { expect } from "chai";
import { InvalidArgumentError, SerializationError } from "@stingray/protocol";
import { WIRE, decode, encode, registerSerializer, registerWireType } from "../../src/mod.js";

const back = <T>(value: T): T => decode(encode(value).bytes()) as T;
let constructed = 0;

class Spot {
  parent: unknown;
  constructor(
    readonly x: number,
    readonly y: number,
  ) {
    constructed++;
  }
  norm(): number {
    return Math.hypot(this.x, this.y);
  }
}
class Money {
  #cents: bigint;
  constructor(cents: bigint) {
    this.#cents = cents;
  }
  get cents(): bigint {
    return this.#cents;
  }
}
class Scores extends Map<string, number> {}

class Handle {
  constructor(readonly id: string) {}
  [WIRE](): { tag: string; data: unknown; refs: string[] } {
    return { tag: "test.handle", data: [this.id], refs: [this.id] };
  }
}

describe("registered classes", () => {
  before(() => {
    registerSerializer(Spot);
    registerSerializer(Money, {
      name: "Money",
      encode: (m) => m.cents,
      decode: (c) => new Money(c as bigint),
    });
    registerSerializer(Scores, { encode: (s) => [...s], decode: (d) => new Scores(d as [string, number][]) });
    registerWireType("test.handle", (data, context) => ({ revived: (data as string[])[0], context }));
  });

  it("without a codec: fields and prototype, no constructor, cycles too", () => {
    const point = new Spot(3, 4);
    point.parent = [point];
    const before = constructed;
    const copy = back(point);
    expect(copy).to.be.instanceOf(Spot);
    expect(copy.norm()).to.equal(5);
    expect((copy.parent as unknown[])[0]).to.equal(copy);
    expect(constructed).to.equal(before);
  });

  it("with a codec: private fields and built-in subclasses; identity is kept", () => {
    const money = new Money(5n);
    const copy = back({ a: money, b: money, s: new Scores([["x", 1]]) });
    expect(copy.a.cents).to.equal(5n);
    expect(copy.b).to.equal(copy.a);
    expect(copy.s).to.be.instanceOf(Scores);
    expect(copy.s.get("x")).to.equal(1);
  });

  it("only the class itself, not its subclasses", () => {
    class Spot3 extends Spot {}
    expect(() => encode(new Spot3(1, 2))).to.throw(SerializationError, "registerSerializer(Spot3)");
  });

  it("names are unique, and registering again replaces", () => {
    expect(() => registerSerializer(class Spot {})).to.throw(
      InvalidArgumentError,
      'the name "Spot" is taken',
    );
    registerSerializer(Spot);
    expect(() => registerSerializer(class extends Set {}, { name: "S" })).to.throw(
      InvalidArgumentError,
      "extends Set",
    );
    expect(() => registerSerializer(undefined as never)).to.throw(InvalidArgumentError);
    expect(() => registerSerializer((() => class {})())).to.throw(InvalidArgumentError, "has no name");
  });

  it("an unknown class says what to do", () => {
    class Passing {}
    registerSerializer(Passing, { name: "Passing1" });
    const bytes = encode(new Passing()).bytes();
    registerSerializer(Passing, { name: "Passing2" });
    expect(() => decode(bytes)).to.throw(
      SerializationError,
      "an instance of class Passing1, which this process does not know: call registerSerializer(Passing1) in a module that the receiver imports too",
    );
  });

  it("a codec that throws is named, with its error as the cause", () => {
    class Fragile {}
    const cause = new TypeError("broken");
    registerSerializer(Fragile, {
      encode: () => 1,
      decode: () => {
        throw cause;
      },
    });
    try {
      back(new Fragile());
      expect.fail("it was decoded");
    } catch (thrown) {
      expect(thrown).to.be.instanceOf(SerializationError);
      expect((thrown as Error).message).to.equal("decode() of class Fragile threw TypeError: broken");
      expect((thrown as Error).cause).to.equal(cause);
    }
  });

  it("a codec's data can't lead back to the object", () => {
    class Loop {}
    registerSerializer(Loop, { encode: (loop) => ({ loop }), decode: () => new Loop() });
    expect(() => encode(new Loop())).to.throw(SerializationError, "encode() is still running");
    expect(decode(encode([1]).bytes())).to.deep.equal([1]);
  });

  it("tables are shared with another copy of this package", () => {
    expect(Object.hasOwn(globalThis, Symbol.for("stingray.serializers"))).to.equal(true);
    expect(WIRE).to.equal(Symbol.for("stingray.wire"));
  });

  it("wire forms: revived with the context, references reported once", () => {
    const handle = new Handle("w1.1.0");
    const encoded = encode({
      a: handle,
      b: [handle, new Handle("w1.2.0"), { [WIRE]: () => ({ tag: "test.handle", data: ["lit"] }) }],
    });
    expect(encoded.refs).to.deep.equal(["w1.1.0", "w1.2.0"]);
    expect(encode({}).refs).to.deep.equal([]);
    const context = { owner: "me" };
    const copy = decode(encoded.bytes(), { context }) as { a: unknown; b: unknown[] };
    expect(copy.a).to.deep.equal({ revived: "w1.1.0", context });
    expect(copy.b[0]).to.equal(copy.a);
    expect(copy.b[2]).to.deep.equal({ revived: "lit", context });
  });

  it("an unknown wire form is refused", () => {
    const bytes = encode({ [WIRE]: () => ({ tag: "test.unknown", data: 1 }) }).bytes();
    expect(() => decode(bytes)).to.throw(
      SerializationError,
      'a "test.unknown", which this process does not know',
    );
  });
});
