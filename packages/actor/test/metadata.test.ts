/** What can be called on an actor, and what its decorators say. */
import { expect } from "chai";
import { InvalidArgumentError, InvalidOptionError } from "@stingray/protocol";
import {
  actor,
  classInfo,
  findMethod,
  method,
  methodInfo,
  methodNames,
  registerClass,
} from "../src/metadata.js";
import { isClass } from "../src/api.js";

class Base {
  inherited(): string {
    return "base";
  }
  replaced(): string {
    return "base";
  }
}
class Sample extends Base {
  field = (): string => "field";
  #secret(): string {
    return "secret";
  }
  plain(): string {
    return this.#secret();
  }
  override replaced(): string {
    return "sample";
  }
  *stream(): Generator<number> {
    yield 1;
  }
  async *streamLater(): AsyncGenerator<number> {
    yield 1;
  }
  get computed(): () => string {
    throw new Error("getters are not run");
  }
  static helper(): string {
    return "static";
  }
  [Symbol.iterator](): Iterator<number> {
    return [1][Symbol.iterator]();
  }
  @method({ shared: true, maxTaskRetries: 2 })
  decorated(): void {}
}

describe("the methods of an actor class", () => {
  it("are its own and inherited ones, and nothing else", () => {
    expect(methodNames(Sample).toSorted()).to.deep.equal(
      ["decorated", "inherited", "plain", "replaced", "stream", "streamLater"].toSorted(),
    );
    const refused = [
      "constructor",
      "field",
      "secret",
      "#secret",
      "computed",
      "helper",
      "toString",
      "hasOwnProperty",
    ];
    for (const name of [...refused, "__proto__", "__defineGetter__", "valueOf", "then", ""])
      expect(findMethod(Sample, name), name).to.equal(undefined);
    expect(findMethod(Sample, "replaced")?.call(new Sample())).to.equal("sample");
  });

  it("stream where they are generators, and have the options of their decorator", () => {
    const infoOf = (name: string) => {
      const fn = findMethod(Sample, name);
      if (fn === undefined) throw new Error(`no method ${name}`);
      return methodInfo(fn);
    };
    expect(infoOf("plain")).to.deep.equal({ results: 1 });
    expect(infoOf("stream").results).to.equal(-1);
    expect(infoOf("streamLater").results).to.equal(-1);
    expect(infoOf("decorated")).to.deep.equal({ shared: true, maxTaskRetries: 2, results: 1 });
  });
});

describe("actor decorators", () => {
  it("register a class once, under its name, a subclass apart from its base", () => {
    @actor({ maxRestarts: 2 })
    class Registered {}
    class Sub extends Registered {}
    expect(classInfo(Registered)?.options).to.deep.equal({ maxRestarts: 2 });
    expect(classInfo(Registered)?.definition).to.include({ kind: "class", name: "Registered" });
    expect(classInfo(Registered)?.definition.module).to.equal(import.meta.url);
    expect(classInfo(Sub)).to.equal(undefined);
    const again = registerClass(Registered, "file:///elsewhere.js", {});
    expect(again).to.equal(classInfo(Registered));
  });

  it("refuse unknown options with the nearest name, and what they can't decorate", () => {
    expect(() => actor({ maxRestart: 1 } as object)(class {})).to.throw(InvalidOptionError, "maxRestarts");
    expect(() =>
      method({ share: true } as object)(() => {}, { name: "m" } as ClassMethodDecoratorContext),
    ).to.throw(InvalidOptionError, "shared");
    expect(() => actor()("no class" as never)).to.throw(InvalidArgumentError);
    expect(() => method({})({}, "m", { value: 1 })).to.throw(InvalidArgumentError);
  });

  it("tell classes from functions", () => {
    expect(isClass(Sample)).to.equal(true);
    expect(isClass(class {})).to.equal(true);
    for (const other of [() => {}, function classy() {}, async () => {}, {}, undefined, "class A {}"])
      expect(isClass(other)).to.equal(false);
  });
});
