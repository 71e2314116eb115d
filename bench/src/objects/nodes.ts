import { readFile } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import { nodes } from "stingray";

const EMPTIED_MS = 3_000;
const POLL_MS = 50;

/**
 * Waits until no node has a value of this size any more, as far as heartbeats tell, or for 3 s: then the stores find
 * room by themselves.
 */
export async function emptied(bytes: number): Promise<void> {
  const deadline = performance.now() + EMPTIED_MS;
  while ((await nodes()).some((node) => node.storeUsed >= bytes) && performance.now() < deadline)
    await pause(POLL_MS);
}

/**
 * Bytes that a node has sent to others since its start, as its store counts them; of a store that does not, those that
 * the process of its agent has written to sockets and files. Undefined where neither is known.
 */
export async function bytesSentBy(node: string): Promise<number | undefined> {
  const view = (await nodes()).find((one) => one.node === node);
  return view === undefined ? undefined : (view.store?.sentTotal ?? (await bytesWrittenBy(view.pid)));
}

/** Bytes that a process of this machine has written to sockets and files since its start; undefined where unknown. */
export async function bytesWrittenBy(pid: number): Promise<number | undefined> {
  const text = await readFile(`/proc/${pid}/io`, "utf8").catch(() => "");
  const found = /^wchar: (\d+)$/m.exec(text)?.[1];
  return found === undefined ? undefined : Number(found);
}
