import { expect } from "chai";
import {
  ActorDiedError,
  ObjectStoreFullError,
  StingrayError,
  WorkerCrashedError,
  TaskError,
} from "@stingray/protocol";
import { decode, encode, registerSerializer } from "../../src/mod.js";

const back = <T>(value: T): T => decode(encode(value).bytes()) as T;

class PaymentError extends TypeError {
  constructor(
    message: string,
    readonly account: number,
  ) {
    super(message);
  }
}
class KnownError extends Error {
  override name = "KnownError";
  constructor(readonly status: number) {
    super(`status ${status}`);
  }
  get isServer(): boolean {
    return this.status >= 500;
  }
}
registerSerializer(KnownError);

describe("errors", () => {
  for (const cls of [Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError]) {
    it(`${cls.name} with message, stack, fields and cause`, () => {
      const cause = new Error("inner");
      const error = Object.assign(new cls("outer", { cause }), { code: "E_X", extra: { a: [1] } });
      const copy = back(error);
      expect(Object.getPrototypeOf(copy)).to.equal(cls.prototype);
      expect(copy.message).to.equal("outer");
      expect(copy.stack).to.equal(error.stack);
      expect(copy.extra).to.deep.equal({ a: [1] });
      expect(copy.code).to.equal("E_X");
      expect((copy.cause as Error).message).to.equal("inner");
      expect(Object.keys(copy)).to.deep.equal(["code", "extra"]);
      expect(Object.prototype.toString.call(copy)).to.equal("[object Error]");
    });
  }

  it("AggregateError", () => {
    const copy = back(new AggregateError([new RangeError("a"), "b"], "many"));
    expect(copy).to.be.instanceOf(AggregateError);
    expect(copy.message).to.equal("many");
    expect(copy.errors[0]).to.be.instanceOf(RangeError);
    expect(copy.errors[1]).to.equal("b");
  });

  it("DOMException, as an aborted signal gives", () => {
    const copy = back(AbortSignal.abort().reason as DOMException);
    expect(copy).to.be.instanceOf(DOMException);
    expect([copy.name, copy.code]).to.deep.equal(["AbortError", 20]);
  });

  it("a cause that leads back", () => {
    const error = new Error("a");
    error.cause = { error };
    const copy = back(error);
    expect((copy.cause as { error: unknown }).error).to.equal(copy);
  });

  it("our own errors come back in their class, with detail", () => {
    const full = new ObjectStoreFullError("full", { detail: { requested: 5 }, cause: new Error("disk") });
    const copy = back(full);
    expect(copy).to.be.instanceOf(ObjectStoreFullError);
    expect(copy.constructor).to.equal(ObjectStoreFullError);
    expect([copy.code, copy.retryable, copy.name]).to.deep.equal([
      "OBJECT_STORE_FULL",
      true,
      "ObjectStoreFullError",
    ]);
    expect(copy.detail).to.deep.equal({ requested: 5 });
    expect((copy.cause as Error).message).to.equal("disk");
    expect(copy.stack).to.equal(full.stack);
    expect(back(new ActorDiedError("x"))).not.to.be.instanceOf(WorkerCrashedError);
    const nested = back(new TaskError("failed", { cause: new PaymentError("no", 7) }));
    expect(nested).to.be.instanceOf(StingrayError);
    expect((nested.cause as PaymentError).account).to.equal(7);
  });

  it("a user's class that is not registered: an error of the nearest built-in class, with its name and fields", () => {
    const copy = back(new PaymentError("broke", 12));
    expect(copy).to.be.instanceOf(TypeError);
    expect(copy).not.to.be.instanceOf(PaymentError);
    expect([copy.name, copy.message, copy.account]).to.deep.equal(["PaymentError", "broke", 12]);
  });

  it("a registered class comes back as itself, without running its constructor", () => {
    const copy = back(new KnownError(503));
    expect(copy).to.be.instanceOf(KnownError);
    expect([copy.name, copy.message, copy.isServer]).to.deep.equal(["KnownError", "status 503", true]);
    expect(Object.prototype.toString.call(copy)).to.equal("[object Error]");
  });

  it("fields that can't be sent are replaced by a text, so that the error itself arrives", () => {
    const shared = { note: "kept" };
    const error = Object.assign(new Error("http 500"), {
      request: { headers: { a: 1 }, data: new Uint8Array(5000), socket: { on: () => 1 } },
      shared,
      again: shared,
      cause: { deep: [new WeakMap()] },
    });
    const copy = back(error) as unknown as Record<string, unknown>;
    expect(copy["message"]).to.equal("http 500");
    expect(copy["request"]).to.equal("[not sent: value.request.socket.on: functions can't be sent]");
    expect(copy["cause"]).to.contain("value.cause.deep[0]: a WeakMap can't be sent");
    expect(copy["shared"]).to.deep.equal({ note: "kept" });
    expect(copy["again"]).to.equal(copy["shared"]);
  });

  it("no message, no stack", () => {
    const error = new Error();
    delete error.stack;
    const copy = back(error);
    expect(Object.hasOwn(copy, "message")).to.equal(false);
    expect(copy.stack).to.equal(undefined);
  });
});
