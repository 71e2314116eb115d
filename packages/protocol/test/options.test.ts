import { expect } from "chai";
import {
  ACTOR_RULES,
  InvalidOptionError,
  TASK_RULES,
  checkOptions,
  countFromWire,
  countOnWire,
  resourceMap,
  shapeOf,
} from "../src/mod.js";

const messageOf = (options: unknown, rules = TASK_RULES): string => {
  try {
    checkOptions("remote(f)", rules, options);
  } catch (error) {
    expect(error).to.be.instanceOf(InvalidOptionError);
    return (error as Error).message;
  }
  return "";
};

describe("options", () => {
  it("that are unknown are refused with the nearest name", () => {
    expect(messageOf({ cpu: 1 })).to.equal('remote(f): unknown option "cpu"; did you mean "cpus"?');
    expect(messageOf({ maxRetrys: 1 })).to.include('did you mean "maxRetries"?');
    expect(messageOf({ zebra: 1 })).to.include("the options are ");
    expect(messageOf({ constructor: 1 })).to.include('unknown option "constructor"');
  });

  it("that are ill-typed are refused by name, with what is wanted", () => {
    expect(messageOf({ gpus: 1.5 })).to.equal(
      'remote(f): option "gpus" must be a fraction below 1 or a whole number, got 1.5',
    );
    expect(messageOf({ returns: -1 })).to.include('option "returns"');
    expect(messageOf({ retryOn: "yes" })).to.include('option "retryOn"');
    expect(messageOf({ runtimeEnv: { envVar: {} } })).to.include('did you mean "envVars"?');
    expect(messageOf({ lifetime: "forever" }, ACTOR_RULES)).to.include('"job" or "detached"');
    expect(messageOf(5)).to.include("options must be an object, got 5");
  });

  it("that are undefined count as not given", () => {
    expect(messageOf({ cpus: undefined, name: undefined })).to.equal("");
  });

  it("become resources without drift, and equal shapes for equal options", () => {
    expect(resourceMap({ gpus: 0.1 + 0.2, resources: { special: 2 } }, 1)).to.deep.equal({
      CPU: 1,
      GPU: 0.3,
      special: 2,
    });
    expect(resourceMap({ cpus: 0 }, 1)).to.deep.equal({});
    expect(JSON.stringify(shapeOf({ cpus: 1, scheduling: "default" }, 1))).to.equal(
      JSON.stringify(shapeOf({}, 1)),
    );
    expect(shapeOf({ scheduling: { node: "n1", soft: true } }, 1).scheduling).to.deep.equal({
      kind: "node",
      node: "n1",
      soft: true,
    });
  });

  it("with counts carry Infinity", () => {
    expect(countFromWire(countOnWire(Infinity))).to.equal(Infinity);
    expect(countFromWire(countOnWire(3))).to.equal(3);
  });
});
