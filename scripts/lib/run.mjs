// Running programs, and what the scripts print. Node's own modules only: this runs before anything is installed.
import { spawn } from "node:child_process";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** A step of a script failed; the message is all that needs to be shown. */
export class StepError extends Error {
  constructor(message, exitCode = 1) {
    super(message);
    this.name = "StepError";
    this.exitCode = exitCode;
  }
}

let interrupted = false;
const children = new Set();

// Ctrl-C in a terminal reaches the children as well (same group), and they get a moment to end by themselves.
// A signal sent to us alone is passed on after that moment.
const GRACE_MS = 1000;
for (const signal of ["SIGINT", "SIGTERM"]) {
  process.on(signal, () => {
    if (interrupted || children.size === 0) process.exit(130);
    interrupted = true;
    setTimeout(() => children.forEach((child) => child.kill("SIGTERM")), GRACE_MS).unref();
  });
}

/** Runs a program in the repository's root, with its output shown. Resolves with its exit code; a StepError after Ctrl-C. */
export function run(command, args, { env = {}, cwd = root, stdio = "inherit" } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, stdio, env: { ...process.env, ...env } });
    children.add(child);
    child.once("error", (error) => {
      children.delete(child);
      reject(new StepError(`${command} can't be run: ${error.message}`));
    });
    child.once("close", (code, signal) => {
      children.delete(child);
      if (interrupted) reject(new StepError("interrupted", 130));
      else resolve(signal ? 128 : code);
    });
  });
}

/** As `run`, but anything other than 0 is a StepError. */
export async function must(what, command, args, options) {
  const code = await run(command, args, options);
  if (code !== 0)
    throw new StepError(`${what} failed (exit code ${code}); what it printed above says why`, code);
}

/** A program of node_modules, run by this Node without a shell or npm between. */
export function tool(path) {
  return join(root, "node_modules", path);
}

export function seconds(since) {
  return `${((performance.now() - since) / 1000).toFixed(1)} s`;
}

/** Runs `main`; a StepError is shown as its message, anything else with its stack. */
export async function script(main) {
  try {
    process.exitCode = (await main()) ?? 0;
  } catch (error) {
    process.stderr.write(`${error instanceof StepError ? error.message : (error?.stack ?? error)}\n`);
    process.exitCode = error?.exitCode ?? 1;
  }
}

/** Prints `text` and ends if `--help` or `-h` is among the arguments. */
export function help(text, args = process.argv.slice(2)) {
  if (!args.includes("--help") && !args.includes("-h")) return;
  process.stdout.write(`${text.trim()}\n`);
  process.exit(0);
}
