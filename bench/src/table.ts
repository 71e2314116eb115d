import type { Row } from "./report.js";
import type { Summary } from "./stats.js";

/** Lays the rows out for a terminal: ours, then each peer and floor with the ratio ours : theirs, then the goals. */
export function formatTable(rows: readonly Row[]): string {
  const names = [...new Set(rows.flatMap((row) => Object.keys(row.others)))].filter((n) => n !== "target");
  const header = ["case", "unit", "ours", ...names.flatMap((name) => [name, "ratio"]), "asked"];
  const body = rows.map((row) => [
    row.case,
    row.unit,
    figure(row.ours),
    ...names.flatMap((name) => {
      const other = row.others[name];
      return other ? [figure(other), times(row.ratio[name])] : ["", ""];
    }),
    goals(row),
  ]);
  const widths = header.map((cell, i) => Math.max(cell.length, ...body.map((line) => line[i]?.length ?? 0)));
  const last = header.length - 1;
  const render = (line: string[]): string =>
    line
      .map((cell, i) => (i < 2 || i === last ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)))
      .join("  ")
      .trimEnd();
  const lines = [render(header), widths.map((width) => "-".repeat(width)).join("  "), ...body.map(render)];
  const notes = rows.filter((row) => row.note).map((row) => `  ${row.case}: ${row.note ?? ""}`);
  return [...lines, ...(notes.length > 0 ? ["", "notes", ...notes] : [])].join("\n");
}

/** One line about a finished row. */
export function formatRow(row: Row): string {
  const others = Object.entries(row.others).map(
    ([name, other]) => `${name} ${figure(other)} (${times(row.ratio[name])})`,
  );
  const parts = [`${row.case}: ${figure(row.ours)} ${row.unit}`, ...others];
  return parts.join(", ") + (row.ok ? "" : "  [below what was asked, or failed]");
}

function goals(row: Row): string {
  const wanted = Object.entries(row.reach);
  if (wanted.length === 0) return row.ok ? "" : "FAILED";
  const text = wanted.map(([name, n]) => (name === "target" ? `target` : `${n}x ${name}`)).join(", ");
  return `${text}: ${row.ok ? "ok" : "NO"}`;
}

function figure({ mean, sd, rounds }: Summary): string {
  if (mean === 0) return rounds.length > 0 ? "0" : "-";
  return sd > 0 ? `${number(mean)} ±${number(sd)}` : number(mean);
}

function number(value: number): string {
  if (value >= 100) return Math.round(value).toLocaleString("en-US");
  return value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

function times(ratio: number | undefined): string {
  return ratio === undefined ? "" : `${ratio >= 100 ? Math.round(ratio) : ratio.toPrecision(3)}x`;
}
