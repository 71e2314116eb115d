/** What of a worker's last output says why it ended. */

/** The error itself, in the forms in which Node, V8 and programs print it. */
const TELLING =
  /\b[A-Za-z]*(Error|Exception)\b.*:|^\s*\[?[A-Za-z]*Error\b|FATAL ERROR|out of memory|Assertion|panic/;
/** Lines that follow on any crash and say nothing of this one. */
const NOISE =
  /^\s*$|^Node\.js v\d|^\s+at .*(node:|[\\/]dist[\\/]src[\\/]execute[\\/])|^-+ .*stack trace -+$|^\s*\^+\s*$|0x[0-9a-f]{6,}/;
const MOST_LINES = 3;

/** At most three lines: from the error on where one is found, else the last that are not noise. */
export function lastWords(stderr: readonly string[]): string[] {
  const lines = stderr.filter((line) => !NOISE.test(line));
  const at = lines.findLastIndex((line) => TELLING.test(line));
  return at < 0 ? lines.slice(-MOST_LINES) : lines.slice(at, at + MOST_LINES);
}
