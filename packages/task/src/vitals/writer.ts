/** A worker's side of its page: see page.ts. */
import { getHeapStatistics } from "node:v8";
import { encodeError, type WireError } from "@stingray/protocol";
import type { CallMarks } from "./marks.js";
import {
  ERROR_AT,
  Field,
  MOST_ERROR_BYTES,
  MOST_NAMES,
  NAMES_AT,
  NAME_BYTES,
  PAGE_MAGIC,
  monotonicMs,
  monotonicOf,
} from "./page.js";

/** How often it says that its loop turns while it has calls, and while it has none. Milliseconds. */
const BUSY_MS = 1_000;
const IDLE_MS = 10_000;

export class VitalsWriter implements CallMarks {
  private readonly numbers: Float64Array;
  private readonly bytes: Uint8Array;
  private readonly names = new Map<string, number>();
  private timer: NodeJS.Timeout | undefined;
  private idle = false;
  private used = true;

  /**
   * @param buffer of PAGE_BYTES, shared with the agent
   * @param pending calls that this process has and that have not ended
   */
  constructor(
    buffer: ArrayBuffer,
    private readonly pending: () => number,
  ) {
    this.numbers = new Float64Array(buffer, 0, NAMES_AT / 8);
    this.bytes = new Uint8Array(buffer);
  }

  /** From now on the agent may judge. */
  start(): void {
    this.tick();
    this.numbers[Field.Magic] = PAGE_MAGIC;
  }
  stop(): void {
    clearTimeout(this.timer);
    this.numbers[Field.Magic] = 0;
  }

  intern(name: string): number {
    let id = this.names.get(name);
    if (id !== undefined) return id;
    id = this.names.size < MOST_NAMES ? this.names.size + 1 : 0;
    this.names.set(name, id);
    if (id === 0) return 0;
    const start = NAMES_AT + (id - 1) * NAME_BYTES;
    const { written } = new TextEncoder().encodeInto(
      name,
      this.bytes.subarray(start + 1, start + NAME_BYTES),
    );
    this.bytes[start] = written;
    return id;
  }

  begin(mark: number, now: number): void {
    const { numbers } = this;
    numbers[Field.BegunAt] = monotonicOf(now);
    numbers[Field.Current] = mark;
    numbers[Field.Last] = mark;
    numbers[Field.Open] = (numbers[Field.Open] ?? 0) + 1;
    this.used = true;
    if (this.idle) this.schedule(BUSY_MS);
  }
  returned(): void {
    this.numbers[Field.Current] = 0;
  }
  ended(): void {
    this.numbers[Field.Open] = Math.max(0, (this.numbers[Field.Open] ?? 0) - 1);
  }

  /** Nobody has caught this error, and the process ends by it. */
  lastWords(error: Error): void {
    let wire = encodeError(error);
    let text = Buffer.from(JSON.stringify(wire));
    for (let cut = 3_000; text.byteLength > MOST_ERROR_BYTES && cut > 50; cut = Math.floor(cut / 2)) {
      wire = shortened(wire, cut);
      text = Buffer.from(JSON.stringify(wire));
    }
    if (text.byteLength > MOST_ERROR_BYTES) return;
    this.bytes.set(text, ERROR_AT);
    this.numbers[Field.ErrorBytes] = text.byteLength;
  }

  private tick(): void {
    const { numbers } = this;
    const { used_heap_size: used, heap_size_limit: limit } = getHeapStatistics();
    numbers[Field.HeapUsed] = used;
    numbers[Field.HeapLimit] = limit;
    numbers[Field.Queued] = Math.max(0, this.pending() - (numbers[Field.Open] ?? 0));
    const busy = this.used || (numbers[Field.Open] ?? 0) > 0;
    this.used = false;
    this.schedule(busy ? BUSY_MS : IDLE_MS);
  }

  private schedule(ms: number): void {
    const now = monotonicMs();
    this.numbers[Field.TurnAt] = now;
    this.numbers[Field.DueAt] = now + ms;
    this.idle = ms > BUSY_MS;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.tick(), ms).unref();
  }
}

/** Its causes go first, then the end of what is long. */
function shortened(wire: WireError, cut: number): WireError {
  const { code, message, name, stack } = wire;
  return {
    code,
    message: message.slice(0, cut),
    ...(name === undefined ? {} : { name }),
    ...(stack === undefined ? {} : { stack: stack.slice(0, cut) }),
  };
}
