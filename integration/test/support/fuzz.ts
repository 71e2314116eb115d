/** Messages that no process of ours would send: reproducible by their seed. */
import { PROTOCOL_VERSION } from "@stingray/protocol";
import { Encoder } from "cbor-x";

const encoder = new Encoder({ useRecords: false, tagUint8Array: false });
const cbor = (value: unknown): Uint8Array => Uint8Array.from(encoder.encode(value));

/** mulberry32 */
export function randomSource(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const OPS = 130;
const HUGE = 900_000;

export class Fuzzer {
  private readonly random: () => number;
  /** Frames that were seen on the wire, to be cut off and sent again. */
  private readonly seen: Uint8Array[] = [];

  constructor(seed: number) {
    this.random = randomSource(seed);
  }

  observe(data: Uint8Array): void {
    if (this.seen.length < 500) this.seen.push(Uint8Array.from(data));
  }

  below(n: number): number {
    return Math.floor(this.random() * n);
  }
  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)] as T;
  }
  private bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.below(256));
  }
  /** An id of nobody. */
  id(prefix: string): string {
    return (
      prefix +
      Array.from({ length: 12 }, () => "0123456789abcdefghijklmnopqrstuvwxyz"[this.below(36)]).join("")
    );
  }

  /** Any plain value, small. */
  private value(depth = 0): unknown {
    const kind = this.below(depth > 3 ? 8 : 10);
    switch (kind) {
      case 0:
        return this.below(2 ** 31) - 2 ** 30;
      case 1:
        return this.random() * 1e300;
      case 2:
        return this.pick([Number.NaN, Infinity, -Infinity, -0, 2 ** 53, -1]);
      case 3:
        return this.pick([
          "",
          "x",
          "__proto__",
          "constructor",
          "\u0000",
          "a".repeat(300),
          this.id("w"),
          this.id("n"),
        ]);
      case 4:
        return this.pick([null, undefined, true, false]);
      case 5:
        return this.bytes(this.below(40));
      case 6:
        return this.pick([new Date(0), new Set([1]), /x/, 2n ** 70n, new Error("x")]);
      case 7:
        return this.below(OPS);
      case 8:
        return Array.from({ length: this.below(6) }, () => this.value(depth + 1));
      default:
        return Object.fromEntries(
          Array.from({ length: this.below(5) }, () => [
            this.pick(["version", "job", "node", "actor", "toString", "lease", "reason", "spec"]),
            this.value(depth + 1),
          ]),
        );
    }
  }

  /** A frame from a process that does not exist, with messages of wrong shape. Numbers at full width, as ours are. */
  private frame(to: string, version: number): Uint8Array {
    const header = [
      version,
      this.below(8),
      this.id(this.pick(["d", "w", "g", "a"])),
      to,
      this.pick([0, 0, 0, 1, this.below(1000)]),
      this.pick([1, 1, 1, 2, this.below(1e6)]),
      this.pick([0, 0, this.below(1e6)]),
      0,
      1 + this.below(1000),
      this.pick([0, 0, 0, this.below(50)]),
      ...(this.below(2) === 0 ? [] : [this.value(3), this.value(3)]),
    ];
    const messages = Array.from({ length: 1 + this.below(3) }, () =>
      cbor(
        this.below(4) === 0
          ? this.value()
          : [this.below(OPS), ...Array.from({ length: this.below(6) }, () => this.value(2))],
      ),
    );
    return Buffer.concat([cbor(header), ...messages]);
  }

  /** One message for a subject whose last token is `to`. */
  message(to: string): Uint8Array {
    switch (this.below(10)) {
      case 0:
        return this.bytes(this.below(200));
      case 1:
        return new Uint8Array();
      case 2:
        return cbor(this.value());
      case 3:
        return this.frame(to, this.pick([0, 2, 99, -1]));
      case 4: {
        if (this.seen.length === 0) return this.bytes(10);
        const whole = this.pick(this.seen);
        return whole.subarray(0, this.below(whole.length));
      }
      case 5:
        return cbor([
          PROTOCOL_VERSION,
          this.pick(["heartbeat", "death", "log"]),
          ...Array.from({ length: this.below(20) }, () => this.value()),
        ]);
      case 6:
        // Promises more than it has.
        return Buffer.concat([
          Buffer.from(
            this.pick([
              "9affffffff",
              "bb00000000ffffffff",
              "5b0000000100000000",
              "7affffffff",
              "c1".repeat(50),
              "81".repeat(5000),
              "d81b82",
            ]),
            "hex",
          ),
          this.bytes(this.below(20)),
        ]);
      case 7:
        return this.below(100) === 0
          ? this.bytes(16).length > 0
            ? Buffer.alloc(HUGE, this.below(256))
            : new Uint8Array()
          : this.bytes(1 + this.below(8));
      default:
        return this.frame(to, PROTOCOL_VERSION);
    }
  }
}
