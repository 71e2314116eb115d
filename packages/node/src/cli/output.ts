/** What the command says: results to standard output, everything else to standard error. */

export interface Output {
  /** A result, with a line end added. */
  say(text: string): void;
  /** A remark or an error. */
  note(text: string): void;
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
