import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { createConnection } from "node:net";
import type { Socket } from "node:net";
import { fileURLToPath } from "node:url";
import { StingrayError } from "@stingray/protocol";

const START_TIMEOUT_MS = 10_000;
const STREAM_TIMEOUT_MS = 60_000;

/** A plain TCP stream from another process of this machine, read with `data` events and counted. */
export class TcpStream {
  readonly #child: ChildProcess;
  readonly #socket: Socket;
  readonly #bytes: number;

  private constructor(child: ChildProcess, socket: Socket, bytes: number) {
    this.#child = child;
    this.#socket = socket;
    this.#bytes = bytes;
  }

  /** Starts the sending process and connects. Rejects with a StingrayError when it is not there within 10 s. */
  static async start(bytes: number): Promise<TcpStream> {
    const child = fork(fileURLToPath(new URL("tcp-sender.js", import.meta.url)), { execArgv: [] });
    try {
      const port = await within(
        START_TIMEOUT_MS,
        "the sender's start",
        (resolve: (port: number) => void, fail) => {
          child.once("message", (port) =>
            typeof port === "number" ? resolve(port) : fail("it has no port"),
          );
          child.once("exit", () => fail("it ended"));
          child.send(bytes);
        },
      );
      const socket = createConnection({ host: "127.0.0.1", port });
      socket.on("error", () => socket.destroy());
      await within(START_TIMEOUT_MS, "connecting", (resolve: (none: void) => void, fail) => {
        socket.once("connect", () => resolve());
        socket.once("close", () => fail("refused"));
      });
      return new TcpStream(child, socket, bytes);
    } catch (error) {
      await end(child);
      throw error;
    }
  }

  /** Asks for the bytes once and resolves to the milliseconds until the last one was there. */
  async receive(): Promise<number> {
    const socket = this.#socket;
    const start = performance.now();
    await within(STREAM_TIMEOUT_MS, "the stream", (resolve: (none: void) => void, fail) => {
      if (socket.destroyed) return fail("it has no connection any more");
      let left = this.#bytes;
      const closed = (): void => fail("the sender closed it");
      const count = (chunk: Buffer | string): void => {
        left -= chunk.length;
        if (left > 0) return;
        socket.off("data", count).off("close", closed);
        resolve();
      };
      socket.on("data", count).once("close", closed);
      socket.write("x");
    });
    return performance.now() - start;
  }

  /** Ends the connection and the sending process. */
  async stop(): Promise<void> {
    this.#socket.destroy();
    await end(this.#child);
  }
}

function within<T>(
  ms: number,
  what: string,
  work: (resolve: (value: T) => void, fail: (why: string) => void) => void,
): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const fail = (why: string): void => {
      clearTimeout(timer);
      reject(new StingrayError(`TCP: ${what} failed: ${why}`));
    };
    const timer = setTimeout(() => fail(`not over after ${ms / 1000} s`), ms);
    work((value) => {
      clearTimeout(timer);
      resolve(value);
    }, fail);
  });
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  child.kill("SIGKILL");
  await exited;
}
