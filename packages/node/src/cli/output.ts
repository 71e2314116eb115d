/** What the command says: results to standard output, everything else to standard error. */

export interface Output {
  /** A result, with a line end added. */
  say(text: string): void;
  /** A remark or an error. */
  note(text: string): void;
}

/** A line of what goes on, which the next one takes the place of where standard error is a terminal. */
export interface Progress {
  show(text: string): void;
  /** What was shown last stays no longer. */
  end(): void;
}

/** On a terminal one line that changes; elsewhere one line for each change, at most one per second. */
export function progressOn(out: Output, stream: NodeJS.WriteStream = process.stderr): Progress {
  let last = "";
  let saidAt = -Infinity;
  if (out === terminal && stream.isTTY) {
    return {
      show: (text) => void stream.write(`\r\u001b[K${text.slice(0, Math.max(20, stream.columns - 1))}`),
      end: () => void stream.write("\r\u001b[K"),
    };
  }
  return {
    show(text) {
      if (text === last || performance.now() - saidAt < 1_000) return;
      last = text;
      saidAt = performance.now();
      out.note(text);
    },
    end: () => undefined,
  };
}

export const terminal: Output = {
  say: (text) => void process.stdout.write(`${text}\n`),
  note: (text) => void process.stderr.write(`stingray: ${text}\n`),
};

/** Rows as columns of equal width, two blanks between them. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) row.forEach((cell, i) => (widths[i] = Math.max(widths[i] ?? 0, cell.length)));
  return rows
    .map((row) =>
      row
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}
