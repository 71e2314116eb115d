import { ProtocolError, SerializationError } from "@stingray/protocol";
import { expect } from "chai";
import { Encoder } from "cbor-x";
import { itemEnd, readItem } from "../src/rpc/cbor-read.js";
import { Writer } from "../src/rpc/cbor-write.js";
import { decodePlain, encodePlain } from "../src/rpc/plain.js";
import { randomFrom } from "./fixtures/rpc-world.js";

function write(value: unknown): Buffer {
  const writer = new Writer(16);
  writer.value(value);
  return writer.buffer.subarray(0, writer.at);
}
const read = (bytes: Uint8Array): unknown => {
  const buffer = Buffer.from(bytes);
  const value = readItem(buffer, 0, buffer.length);
  expect(itemEnd()).equals(buffer.length);
  return value;
};
const other = new Encoder({ useRecords: false, mapsAsObjects: true, tagUint8Array: false });

/** A random plain value. */
function plain(random: () => number, depth = 0): unknown {
  const pick = Math.floor(random() * (depth > 4 ? 7 : 9));
  const size = Math.floor(random() ** 3 * 300);
  switch (pick) {
    case 0:
      return null;
    case 1:
      return random() < 0.5;
    case 2:
      return Math.floor((random() - 0.5) * 2 ** Math.floor(random() * 53));
    case 3:
      return (random() - 0.5) * 10 ** Math.floor(random() * 300);
    case 4:
      return "abcdefghijklmnop".repeat(20).slice(0, size);
    case 5:
      return Array.from({ length: size }, () => String.fromCodePoint(Math.floor(random() * 0xd7ff))).join("");
    case 6:
      return Uint8Array.from({ length: size }, () => Math.floor(random() * 256));
    case 7:
      return Array.from({ length: Math.floor(random() * 30) }, () => plain(random, depth + 1));
    default:
      return Object.fromEntries(
        Array.from({ length: Math.floor(random() * 9) }, (_, i) => [
          `field${i}${"x".repeat(i * 4)}`,
          plain(random, depth + 1),
        ]),
      );
  }
}

describe("CBOR on the wire", function () {
  this.timeout(15_000);
  it("gives back what was written, and is read and written alike by another implementation", () => {
    const random = randomFrom(7);
    for (let i = 0; i < 1000; i++) {
      const value = plain(random);
      const bytes = write(value);
      expect(read(bytes)).deep.equals(value);
      expect(other.decode(bytes)).deep.equals(value);
      expect(read(other.encode(value))).deep.equals(value);
    }
  });

  it("knows the numbers at the edges", () => {
    const edges = [
      0,
      23,
      24,
      255,
      256,
      65535,
      65536,
      2 ** 31,
      2 ** 32 - 1,
      2 ** 32,
      2 ** 53 - 1,
      -1,
      -24,
      -25,
      -(2 ** 31),
      -(2 ** 31) - 1,
      0.5,
      Infinity,
      -Infinity,
      1e-320,
    ];
    for (const edge of edges) expect(read(write(edge))).equals(edge);
    expect(Number.isNaN(read(write(Number.NaN)))).equals(true);
    // Forms that others write: 64-bit integers, half and single precision.
    expect(read(Buffer.from("1b0000000100000000", "hex"))).equals(2 ** 32);
    expect(read(Buffer.from("3b0000000100000000", "hex"))).equals(-(2 ** 32) - 1);
    expect(read(Buffer.from("f93e00", "hex"))).equals(1.5);
    expect(read(Buffer.from("f90001", "hex"))).equals(2 ** -24);
    expect(read(Buffer.from("fa3fc00000", "hex"))).equals(1.5);
  });

  it("leaves out undefined fields, keeps undefined items, and gives byte strings of every size as plain Uint8Array", () => {
    expect(read(write({ a: 1, b: undefined }))).deep.equals({ a: 1 });
    expect(read(write([1, undefined, 2]))).deep.equals([1, undefined, 2]);
    for (const size of [0, 1, 64, 65, 2048, 2049, 5000, 300_000]) {
      const back = read(write(Buffer.alloc(size, 7))) as Uint8Array;
      expect(back.constructor).equals(Uint8Array);
      expect(back.length).equals(size);
      expect(back.every((byte) => byte === 7)).equals(true);
    }
  });

  it("keeps short texts apart that fall into the same place of its table", () => {
    for (let i = 0; i < 10_000; i++) if (read(write(`key${i}`)) !== `key${i}`) expect.fail(`key${i}`);
  });

  it("refuses to write what is not plain, and cycles", () => {
    const cycle: unknown[] = [];
    cycle.push(cycle);
    for (const value of [
      () => 1,
      Symbol("s"),
      1n,
      new Map(),
      new Set(),
      new Date(),
      new Error("e"),
      new Float64Array(2),
      cycle,
    ])
      expect(() => write([value])).throws(SerializationError);
  });

  it("never makes anything but data of bytes, and refuses the rest with a ProtocolError", () => {
    const random = randomFrom(11);
    for (let i = 0; i < 4_000; i++) {
      const bytes =
        i % 2 === 0 ? Buffer.from(write(plain(random))) : Buffer.alloc(1 + Math.floor(random() * 60));
      const changes = i % 2 === 0 ? 3 : bytes.length;
      for (let k = 0; k < changes; k++)
        bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256);
      try {
        readItem(bytes, 0, bytes.length);
        expect(itemEnd()).most(bytes.length);
      } catch (error) {
        expect(error).instanceOf(ProtocolError);
      }
    }
  });

  it("is not made to allocate, recurse or pollute by what lengths, depths and names say", () => {
    const hostile = [
      "9affffffff", // an array of four billion
      "baffffffff", // a map of as many
      "5affffffff", // bytes
      "7affffffff", // text
      "81".repeat(100_000), // nesting
      "9f01ff", // indefinite length
      "c249010000000000000000", // a tag
      "d9dfff8319e0008161610a01", // a record definition of some encoders
      "1bffffffffffffffff", // beyond 2^53
    ];
    for (const hex of hostile) expect(() => read(Buffer.from(hex, "hex")), hex).throws(ProtocolError);
    const polluted = read(Buffer.from("a1695f5f70726f746f5f5fa1616101", "hex")) as Record<string, unknown>;
    expect(Object.keys(polluted)).deep.equals(["__proto__"]);
    expect(Object.getPrototypeOf(polluted)).equals(Object.prototype);
    expect((polluted as { a?: unknown }).a).equals(undefined);
  });

  it("outside of frames is the whole of a message, and hostile bytes take no time", () => {
    const value = [1, "heartbeat", { CPU: 0.5 }, new Uint8Array([1, 2])];
    expect(decodePlain(encodePlain(value))).deep.equals(value);
    expect(decodePlain(Uint8Array.from(other.encode(value)))).deep.equals(value);
    expect(() => decodePlain(Buffer.concat([encodePlain(1), Buffer.from([0])]))).throws(
      ProtocolError,
      "1 bytes follow the value",
    );
    const started = performance.now();
    for (const [item, times] of [
      ["81", 1_000_000],
      ["a161", 100_000],
      ["c1", 1_000_000],
      ["9a06ffffff", 10_000],
    ] as const)
      expect(() => decodePlain(Buffer.from(item.repeat(times), "hex"))).throws(ProtocolError);
    expect(performance.now() - started).below(1_000);
  });
});
