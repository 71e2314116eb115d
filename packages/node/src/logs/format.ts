/** How the output of workers looks in the driver's terminal. */

export interface OutputLine {
  /** What printed it: a task's or actor's name. */
  name: string;
  pid: number;
  stream: 1 | 2;
  line: string;
}

export interface FormatOptions {
  /** Colours the prefix. @defaultValue false; say true only for a terminal, see {@link wantsColour} */
  colour?: boolean;
}

const CYAN = "\u001b[36m";
const YELLOW = "\u001b[33m";
const RESET = "\u001b[0m";

/** `(square pid=812) text`, without a line end. */
export function formatLine(output: OutputLine, options: FormatOptions = {}): string {
  const prefix = output.name === "" ? `(pid=${output.pid})` : `(${output.name} pid=${output.pid})`;
  const shown = options.colour === true ? `${output.stream === 2 ? YELLOW : CYAN}${prefix}${RESET}` : prefix;
  return `${shown} ${output.line}`;
}

/** Whether a stream should get colours: it is a terminal, and the NO_COLOR convention does not forbid it. */
export function wantsColour(
  stream: { isTTY?: boolean | undefined },
  env: NodeJS.ProcessEnv = process.env,
): boolean {
  return stream.isTTY === true && (env["NO_COLOR"] ?? "") === "" && env["TERM"] !== "dumb";
}
