/**
 * The process between us and the server. It holds one end of a pipe of which we hold the other: when we end, however
 * we end (`kill -9` too), the pipe closes, and it kills the server and removes its directory. It is a shell script of
 * a dozen lines, so it costs a millisecond and a megabyte, and has nothing in it that can fail.
 *
 * It reads the word `start` per start of the server and writes `pid <pid>` and `exit <status>` for each. A server that
 * ends by itself keeps its directory, so that it can be started again with its data.
 */
import { spawn, type ChildProcess } from "node:child_process";
import type { Readable, Writable } from "node:stream";

/** `$1`: the directory to remove in the end; the rest is the command. Signals to our group must not reach it. */
const SCRIPT = `
dir=$1; shift
exec 3<&0 </dev/null
trap '' INT TERM HUP PIPE
run=
while read -r _ <&3; do
  [ -n "$run" ] && wait "$run"
  (
    exec 3<&-
    (trap - INT TERM HUP PIPE; exec "$@" >/dev/null) &
    pid=$!
    echo "$pid" >"$dir/pid"
    echo "pid $pid"
    wait "$pid" 2>/dev/null; status=$?
    rm -f "$dir/pid"
    echo "exit $status"
  ) &
  run=$!
done
[ -s "$dir/pid" ] && kill -9 "$(cat "$dir/pid")"
[ -n "$run" ] && wait "$run"
rm -rf "$dir" || { sleep 0.1; rm -rf "$dir"; }
`;

export interface WatchdogEvents {
  /** The server process exists. */
  started(pid: number): void;
  /** The server process ended; `status` as a shell gives it (128 + signal). */
  ended(status: number): void;
  /** Lines of the server's standard error. */
  stderr(line: string): void;
  /** The watchdog itself is gone. */
  gone(): void;
}

export interface WatchdogOptions {
  command: string;
  args: readonly string[];
  dir: string;
  cwd?: string | undefined;
  env: NodeJS.ProcessEnv;
}

export class Watchdog {
  private readonly child: ChildProcess & { stdin: Writable; stdout: Readable; stderr: Readable };

  private constructor(child: Watchdog["child"]) {
    this.child = child;
  }

  /** Starts the watchdog, not yet the server. */
  static start(options: WatchdogOptions, events: WatchdogEvents): Watchdog {
    const child = spawn(
      "/bin/sh",
      ["-c", SCRIPT, "stingray-broker-watchdog", options.dir, options.command, ...options.args],
      // A group of its own: a Ctrl-C in the terminal ends our program first, and the server after it.
      { stdio: ["pipe", "pipe", "pipe"], detached: true, cwd: options.cwd, env: options.env },
    );
    child.stdin.on("error", () => undefined); // a broken pipe is reported by `gone`
    lines(child.stdout, (line) => {
      const [word, value] = line.split(" ");
      if (word === "pid") events.started(Number(value));
      else if (word === "exit") events.ended(Number(value));
    });
    lines(child.stderr, (line) => events.stderr(line));
    // Not "close": a server that lost its watchdog still holds the other ends of the pipes.
    child.once("exit", () => events.gone());
    child.once("error", (error) => {
      events.stderr(error.message);
      if (child.pid === undefined) events.gone();
    });
    return new Watchdog(child);
  }

  startServer(): void {
    this.child.stdin.write("start\n");
  }

  /** Kills the server if it runs, removes the directory, ends the watchdog; then `gone` is told. */
  end(): void {
    this.child.stdin.end();
  }

  /** Whether the watchdog keeps this process alive. It must not once the server runs: programs end by ending. */
  hold(yes: boolean): void {
    const { child } = this;
    for (const part of [child, child.stdin, child.stdout, child.stderr] as unknown as Refable[]) {
      if (yes) part.ref?.();
      else part.unref?.();
    }
  }
}

interface Refable {
  ref?(): void;
  unref?(): void;
}

function lines(stream: Readable, onLine: (line: string) => void): void {
  let rest = "";
  stream.setEncoding("utf8");
  stream.on("data", (chunk: string) => {
    const parts = (rest + chunk).split("\n");
    rest = parts.pop() ?? "";
    for (const part of parts) onLine(part);
  });
  stream.on("end", () => {
    if (rest !== "") onLine(rest);
  });
}
