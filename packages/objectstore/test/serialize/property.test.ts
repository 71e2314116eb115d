import { isDeepStrictEqual } from "node:util";
import { expect } from "chai";
import { SerializationError } from "@stingray/protocol";
import { decode, encode } from "../../src/mod.js";
import { randomValue, random } from "../helpers/random-value.js";

/** Numbers the objects of a value in the order of a walk, so that equal shapes of sharing give equal texts. */
function sharing(value: unknown): string {
  const numbers = new Map<object, number>();
  const out: string[] = [];
  const walk = (v: unknown): void => {
    if (typeof v !== "object" || v === null) return;
    const known = numbers.get(v);
    out.push(known === undefined ? "new" : String(known));
    if (known !== undefined) return;
    numbers.set(v, numbers.size);
    if (v instanceof Map) for (const entry of v) entry.forEach(walk);
    else if (v instanceof Set) for (const item of v) walk(item);
    else if (!ArrayBuffer.isView(v))
      for (const key of Object.keys(v)) walk((v as Record<string, unknown>)[key]);
  };
  walk(value);
  return out.join(" ");
}

describe("random values", function () {
  this.timeout(20_000); // much work, on machines that have other work too

  it("come back equal, with the same sharing, over both ways of writing", () => {
    for (let seed = 1; seed <= 800; seed++) {
      const value = randomValue(random(seed));
      const encoded = encode(value);
      const bytes = encoded.bytes();
      expect(bytes.length).to.equal(encoded.size);
      const target = new Uint8Array(encoded.size).fill(0xaa);
      encoded.writeTo(target);
      const copy = decode(target, { views: seed % 2 === 0 });
      if (!isDeepStrictEqual(copy, value)) expect.fail(`seed ${seed} came back different`);
      expect(sharing(copy), `sharing of seed ${seed}`).to.equal(sharing(value));
    }
  });

  it("damaged in any way give a SerializationError or some value, nothing else", () => {
    const next = random(77);
    const sound = Array.from({ length: 200 }, (_, seed) => encode(randomValue(random(seed), 3)).bytes());
    let refused = 0;
    for (let round = 0; round < 10_000; round++) {
      const bytes = (sound[round % sound.length] as Uint8Array).slice();
      const damaged = next() < 0.2 ? bytes.subarray(0, Math.floor(next() * bytes.length)) : bytes;
      for (let i = Math.ceil(next() * 4); i > 0 && damaged.length > 0; i--) {
        damaged[Math.floor(next() * damaged.length)] = Math.floor(next() * 256);
      }
      try {
        decode(damaged, { views: round % 2 === 0 });
      } catch (thrown) {
        refused++;
        if (!(thrown instanceof SerializationError)) throw thrown;
      }
    }
    expect(refused).to.be.greaterThan(1000);
  });

  it("pure noise is refused", () => {
    const next = random(5);
    for (let round = 0; round < 2000; round++) {
      const noise = Uint8Array.from({ length: Math.floor(next() * 60) }, () => next() * 256);
      if (round % 2 === 0) noise.set([0x53, 1, 2, 0, noise.length, 0, 0, 0].slice(0, noise.length));
      try {
        decode(noise);
      } catch (thrown) {
        expect(thrown).to.be.instanceOf(SerializationError);
      }
    }
  });
});
