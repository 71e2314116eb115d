/** Finds the NVIDIA GPUs of this machine: by asking `nvidia-smi`, within a deadline; else by their device files. */
import { spawn } from "node:child_process";
import { accessSync, constants, readdirSync } from "node:fs";
import { join } from "node:path";
import type { GpuDevice } from "./device.js";
import type { FoundGpus } from "./node-gpus.js";
import { devicesOf, LIST, merge, QUERY, readList, readQuery, type Listing } from "./nvidia-smi.js";

export interface FindOptions {
  /** @defaultValue that of this process */
  env?: NodeJS.ProcessEnv | undefined;
  /** Milliseconds; a driver that hangs must not hang the node. @defaultValue 5000 */
  deadlineMs?: number | undefined;
  /** Where device files are. @defaultValue "/dev" */
  devDir?: string | undefined;
}

/** A driver that nobody uses is loaded for the question, which takes seconds on machines with many GPUs. */
const DEADLINE_MS = 5_000;
/** Its place in the Linux of Windows, where it is not always on the PATH. */
const ELSEWHERE = ["/usr/lib/wsl/lib"];
const MOST_LENGTH = 1 << 20;

/** Never rejects. Machines without device files and without `nvidia-smi` have the answer at once. */
export async function findGpus(o: FindOptions = {}): Promise<FoundGpus> {
  const env = o.env ?? process.env;
  const files = deviceFiles(o.devDir ?? "/dev");
  const command = onPath("nvidia-smi", env);
  if (command === undefined) return counted(files, []);
  const deadlineMs = o.deadlineMs ?? DEADLINE_MS;
  const [list, query] = await Promise.all([
    ask(command, LIST, env, deadlineMs),
    ask(command, QUERY, env, deadlineMs),
  ]);
  if (list.kind === "said") {
    const listing = merge(readList(list.text), query.kind === "said" ? readQuery(query.text) : NOTHING);
    return listed(listing, files);
  }
  // Without the list nobody knows into what a GPU is divided, but which one is.
  if (query.kind === "said") return listed(readQuery(query.text), files);
  return counted(files, [`${command} ${list.reason}: GPUs are counted by their device files`]);
}

const NOTHING = { gpus: [], remarks: [] };

/** That a machine without GPUs has none is nothing to tell, however `nvidia-smi` puts it. */
function listed(listing: Listing, files: readonly number[]): FoundGpus {
  const found = devicesOf(listing);
  return listing.gpus.length === 0 && files.length === 0 ? { ...found, notes: [] } : found;
}

/** Numbers of the GPUs that have a device file. */
function deviceFiles(directory: string): number[] {
  try {
    const names = readdirSync(directory).map((name) => /^nvidia(\d+)$/.exec(name)?.[1]);
    return names.flatMap((number) => (number === undefined ? [] : [Number(number)])).sort((a, b) => a - b);
  } catch {
    return [];
  }
}

/** CUDA counts those that it sees from 0, whatever the numbers of their files: containers have some of them. */
function counted(files: readonly number[], notes: string[]): FoundGpus {
  if (files.length === 0) return { devices: notes.length > 0 ? [] : undefined, notes };
  return { devices: files.map((_, index): GpuDevice => ({ entry: String(index), index })), notes };
}

function onPath(name: string, env: NodeJS.ProcessEnv): string | undefined {
  const directories = (env["PATH"] ?? "").split(":").filter((directory) => directory !== "");
  return [...directories, ...ELSEWHERE]
    .map((directory) => join(directory, name))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

type Answer = { kind: "said"; text: string } | { kind: "silent"; reason: string };

/** Its exit code is not looked at: it prints what it knows, and fails for a damaged info ROM. */
function ask(
  command: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  deadlineMs: number,
): Promise<Answer> {
  return new Promise((resolve) => {
    const child = spawn(command, args, { env: { ...env, LC_ALL: "C" }, stdio: ["ignore", "pipe", "pipe"] });
    const printed = ["", ""];
    const end = (answer: Answer): void => {
      clearTimeout(timer);
      resolve(answer);
    };
    const timer = setTimeout(() => {
      // Where the driver hangs, the process can't even be killed: it is left behind.
      child.kill("SIGKILL");
      child.stdout.destroy();
      child.stderr.destroy();
      child.unref();
      end({ kind: "silent", reason: `did not answer within ${deadlineMs} ms` });
    }, deadlineMs);
    for (const [which, stream] of [child.stdout, child.stderr].entries()) {
      stream.setEncoding("utf8").on("data", (more: string) => {
        const text = printed[which] ?? "";
        if (text.length < MOST_LENGTH) printed[which] = text + more;
      });
    }
    child.once("error", (error) =>
      end({ kind: "silent", reason: `could not be started (${error.message})` }),
    );
    child.once("close", (code, signal) => {
      const text = printed.join("\n");
      if (text.trim() !== "") end({ kind: "said", text });
      else end({ kind: "silent", reason: `printed nothing and ended with ${signal ?? `exit code ${code}`}` });
    });
  });
}
