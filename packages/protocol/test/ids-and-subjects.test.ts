import { expect } from "chai";
import {
  InvalidOptionError,
  Subjects,
  decodeToken,
  encodeToken,
  isActorId,
  isObjectId,
  isProcessId,
  newActorId,
  newDriverId,
  newNodeId,
  newWorkerId,
  objectIdOf,
  ownerOf,
  taskIdOf,
  taskOf,
} from "../src/mod.js";

describe("ids", () => {
  it("carry their origin", () => {
    const process = newWorkerId();
    const object = objectIdOf(process, 42, 3);
    expect(ownerOf(object)).to.equal(process);
    expect(taskOf(object)).to.equal(taskIdOf(process, 42));
    expect(ownerOf(taskOf(object))).to.equal(process);
  });

  it("are of one shape each, and new ones differ", () => {
    const ids = Array.from({ length: 1000 }, newDriverId);
    expect(new Set(ids).size).to.equal(1000);
    expect(ids.every(isProcessId)).to.equal(true);
    expect(isActorId(newActorId())).to.equal(true);
    for (const wrong of ["", "x", "d", `${newDriverId()}.1`, "D00000000000a", 7, null])
      expect(isProcessId(wrong)).to.equal(false);
    expect(isObjectId(`${newDriverId()}.1`)).to.equal(false);
    expect(isObjectId(`${newDriverId()}.1.x`)).to.equal(false);
  });
});

describe("subjects", () => {
  it("begin with root, version and cluster", () => {
    const subjects = new Subjects("my.st", "blue");
    const process = newWorkerId();
    expect(subjects.process(process)).to.equal(`my.st.v1.blue.p.${process}`);
    expect(subjects.endpoint(process)).to.equal(subjects.process(process));
    const actor = newActorId();
    expect(subjects.endpoint(actor)).to.equal(`my.st.v1.blue.a.${actor}`);
    expect(subjects.bucket("nodes")).to.equal("my_st_v1_blue_nodes");
    expect(subjects.heartbeat(newNodeId()).startsWith("my.st.v1.blue.feed.heartbeat.")).to.equal(true);
  });

  it("refuse what would break out of its place", () => {
    for (const cluster of ["", "a.b", "a*", ">", "a b"])
      expect(() => new Subjects("st", cluster)).to.throw(InvalidOptionError);
    for (const root of ["", "st.", ".st", "s*t", "st.>"])
      expect(() => new Subjects(root)).to.throw(InvalidOptionError);
  });

  it("take any text as a token, and give it back", () => {
    for (const name of ["gpu:H200", "", "ä ö", "a.b>*", "=", "x".repeat(100)]) {
      const token = encodeToken(name);
      expect(token).to.match(/^[A-Za-z0-9_=-]+$/);
      expect(decodeToken(token)).to.equal(name);
    }
  });
});
