/**
 * Captures what a worker prints: into its log files, and as lines to whoever asked (the agent sends them on to the
 * driver). The last lines of its standard error are kept for the report of its end.
 */
import type { ChildProcess } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { LineSplitter, type NamedLines } from "./lines.js";
import { RotatingFile } from "./rotating-file.js";

/** 1 is standard output, 2 standard error. */
export type StreamNumber = 1 | 2;

export interface CaptureOptions {
  /** Id of the process, the name of its lines before its first task. */
  worker: string;
  pid: number;
  /** Called with lines that were printed under one name, in order, at most once per stream, name and turn. */
  onLines: (stream: StreamNumber, name: string, lines: string[]) => void;
  /** Directory of `worker-<pid>.out` and `.err`; made if missing. Without it no files are written. */
  logDir?: string;
  /** Bytes per log file; two of each are kept. @defaultValue 16 MiB */
  maxFileBytes?: number;
  /** Lines of standard error that are kept. @defaultValue 20 */
  keepLines?: number;
  /**
   * How long pipes may stay open after the process has ended, in milliseconds: children of its own may hold them.
   * Then they are closed. @defaultValue 1000
   */
  afterExitMs?: number;
  /** Called once if the log files can't be written. Lines go on being delivered. */
  onError?: (error: Error) => void;
}

export interface OutputCapture {
  /** The last lines of standard error, oldest first, each cut to 2,000 characters. */
  stderrTail(): string[];
  /** Delivers now, within this call, what was read from the pipes. */
  flush(): void;
  /** Resolves when both pipes have ended, every line was delivered and the files are closed. Never rejects. */
  drained(): Promise<void>;
}

const KEEP_LINES = 20;
const TAIL_WIDTH = 2_000;
const AFTER_EXIT_MS = 1_000;
/** Above this many unwritten bytes the pipe is left full, which slows the printing process down. */
const MAX_BACKLOG = 4 * 1024 * 1024;

/**
 * Captures the output of a child that was spawned with pipes for its standard output and error. A stream that is no
 * pipe is left out, and so are those of a child that could not be spawned at all.
 */
export function captureOutput(child: ChildProcess, options: CaptureOptions): OutputCapture {
  const keep = options.keepLines ?? KEEP_LINES;
  const tail: string[] = [];
  const outbox = new Outbox(options.onLines);
  if (options.logDir !== undefined) mkdirSync(options.logDir, { recursive: true, mode: 0o700 });

  const deliver = (stream: StreamNumber, groups: NamedLines[]): void => {
    outbox.add(stream, groups);
    if (stream === 1) return;
    for (const { lines } of groups) {
      for (const line of lines.slice(-keep)) tail.push(line.slice(0, TAIL_WIDTH));
    }
    if (tail.length > keep) tail.splice(0, tail.length - keep);
  };
  const follow = (pipe: Readable | null, stream: StreamNumber): Promise<void> =>
    pipe === null ? Promise.resolve() : followPipe(pipe, stream, options, deliver);

  const ended = Promise.all([follow(child.stdout ?? null, 1), follow(child.stderr ?? null, 2)]).then(() =>
    outbox.flush(),
  );
  closePipesAfterExit(child, options.afterExitMs ?? AFTER_EXIT_MS);
  return {
    stderrTail: () => [...tail],
    flush: () => outbox.flush(),
    drained: () => ended,
  };
}

/** Resolves when the pipe has ended, its lines were handed to `deliver` and its file is closed. */
function followPipe(
  pipe: Readable,
  stream: StreamNumber,
  options: CaptureOptions,
  deliver: (stream: StreamNumber, groups: NamedLines[]) => void,
): Promise<void> {
  const splitter = new LineSplitter(options.worker);
  const file =
    options.logDir === undefined
      ? undefined
      : new RotatingFile(join(options.logDir, `worker-${options.pid}.${stream === 1 ? "out" : "err"}`), {
          ...(options.maxFileBytes === undefined ? {} : { maxBytes: options.maxFileBytes }),
          ...(options.onError === undefined ? {} : { onError: options.onError }),
        });
  const handle = (groups: NamedLines[]): void => {
    if (groups.length === 0) return;
    deliver(stream, groups);
    file?.append(groups.map(({ lines }) => lines.join("\n") + "\n").join(""));
  };
  pipe.on("data", (chunk: Buffer) => {
    handle(splitter.push(chunk));
    if (file !== undefined && file.backlog > MAX_BACKLOG) {
      pipe.pause();
      void file.idle().then(() => pipe.resume());
    }
  });
  return new Promise((resolve) => {
    let over = false;
    const end = (): void => {
      if (over) return;
      over = true;
      handle(splitter.end());
      // A file that can't be closed has lost nothing that could still be saved.
      void (file?.close() ?? Promise.resolve()).catch(() => undefined).then(resolve);
    };
    pipe.once("end", end);
    pipe.once("close", end);
    pipe.once("error", end);
  });
}

/** A process that the worker started may hold its pipes for ever; nobody waits longer than this for them. */
function closePipesAfterExit(child: ChildProcess, afterMs: number): void {
  const arm = (): void => {
    const timer = setTimeout(() => {
      child.stdout?.destroy();
      child.stderr?.destroy();
    }, afterMs).unref();
    child.once("close", () => clearTimeout(timer));
  };
  if (child.exitCode !== null || child.signalCode !== null) arm();
  else child.once("exit", arm);
}

/** Gathers the lines of one turn of the event loop, so that a chatty worker costs one message and not a thousand. */
class Outbox {
  private batches: { stream: StreamNumber; name: string; lines: string[] }[] = [];
  private scheduled = false;

  constructor(private readonly onLines: CaptureOptions["onLines"]) {}

  add(stream: StreamNumber, groups: NamedLines[]): void {
    for (const { name, lines } of groups) {
      const last = this.batches.at(-1);
      if (last !== undefined && last.stream === stream && last.name === name) {
        for (const line of lines) last.lines.push(line);
      } else this.batches.push({ stream, name, lines });
    }
    if (this.scheduled || this.batches.length === 0) return;
    this.scheduled = true;
    setImmediate(() => this.flush());
  }

  flush(): void {
    this.scheduled = false;
    const batches = this.batches;
    this.batches = [];
    for (const { stream, name, lines } of batches) this.onLines(stream, name, lines);
  }
}
