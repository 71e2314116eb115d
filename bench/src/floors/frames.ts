import type { Socket } from "node:net";

const HEADER_BYTES = 4;
/** How long an event loop stays awake after a message. */
const AWAKE_MS = 0.05;

/** Writes a frame: its length in four bytes, then the body. */
export function writeFrame(socket: Socket, body: Uint8Array): void {
  const frame = Buffer.allocUnsafe(HEADER_BYTES + body.length);
  frame.writeUInt32LE(body.length, 0);
  frame.set(body, HEADER_BYTES);
  socket.write(frame);
}

/** Cuts the bytes of a socket into frames; a frame is valid until `onFrame` returns. */
export function readFrames(socket: Socket, onFrame: (body: Uint8Array) => void): void {
  let rest: Buffer = Buffer.alloc(0);
  socket.on("data", (chunk) => {
    const data = typeof chunk === "string" ? Buffer.from(chunk) : chunk;
    rest = rest.length === 0 ? data : Buffer.concat([rest, data]);
    while (rest.length >= HEADER_BYTES) {
      const end = HEADER_BYTES + rest.readUInt32LE(0);
      if (rest.length < end) break;
      onFrame(rest.subarray(HEADER_BYTES, end));
      rest = rest.subarray(end);
    }
  });
}

/** Keeps the event loop awake for some 50 µs after each `touch`, by a chain of immediates that ends by itself. */
export class Awake {
  #until = 0;
  #spinning = false;

  touch(): void {
    this.#until = performance.now() + AWAKE_MS;
    if (this.#spinning) return;
    this.#spinning = true;
    setImmediate(this.#spin);
  }

  readonly #spin = (): void => {
    if (performance.now() < this.#until) setImmediate(this.#spin);
    else this.#spinning = false;
  };
}
