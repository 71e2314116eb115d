/** Prints what workers printed in the driver's terminal: standard output to standard output, error to error. */
import { formatLine, wantsColour, type OutputLine } from "./format.js";

interface Out {
  write(text: string): unknown;
  isTTY?: boolean | undefined;
}

export interface LogPrinterOptions {
  /** @defaultValue `process.stdout` */
  stdout?: Out;
  /** @defaultValue `process.stderr` */
  stderr?: Out;
  /**
   * Prints a line once if several processes print the same within a second, then how often it was repeated.
   * @defaultValue false
   */
  dedup?: boolean;
}

interface Repeated {
  last: OutputLine;
  firstPid: number;
  held: number;
}

/** How long the same line of another process is held back, in milliseconds. */
const DEDUP_MS = 1_000;

export class LogPrinter {
  private readonly outs: Record<1 | 2, { out: Out; colour: boolean }>;
  private readonly dedup: boolean;
  private recent = new Map<string, Repeated>();
  private timer: NodeJS.Timeout | undefined;

  constructor(options: LogPrinterOptions = {}) {
    const stdout: Out = options.stdout ?? process.stdout;
    const stderr: Out = options.stderr ?? process.stderr;
    this.outs = {
      1: { out: stdout, colour: wantsColour(stdout) },
      2: { out: stderr, colour: wantsColour(stderr) },
    };
    this.dedup = options.dedup ?? false;
  }

  /** Prints lines of one process. Several lines go out in one write. */
  print(source: Omit<OutputLine, "line">, lines: readonly string[]): void {
    let text = "";
    const { out, colour } = this.outs[source.stream];
    for (const line of lines) {
      const output = { ...source, line };
      if (!this.isRepeated(output)) text += formatLine(output, { colour }) + "\n";
    }
    if (text !== "") out.write(text);
  }

  /** Prints what is held back. Call it before the program ends. */
  close(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    const recent = this.recent;
    this.recent = new Map();
    for (const { last, held } of recent.values()) {
      if (held === 0) continue;
      const { out, colour } = this.outs[last.stream];
      const times = held === 1 ? "" : ` [repeated ${held}x]`;
      out.write(`${formatLine(last, { colour })}${times}\n`);
    }
  }

  /** True if the line is held back: another process than the first to print it printed it again. */
  private isRepeated(output: OutputLine): boolean {
    if (!this.dedup) return false;
    const key = `${output.stream} ${output.line}`;
    const seen = this.recent.get(key);
    if (seen === undefined) {
      this.recent.set(key, { last: output, firstPid: output.pid, held: 0 });
      this.timer ??= setTimeout(() => this.close(), DEDUP_MS).unref();
      return false;
    }
    // What one process prints twice it means twice.
    if (seen.firstPid === output.pid) return false;
    seen.last = output;
    seen.held++;
    return true;
  }
}
