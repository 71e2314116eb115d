/** Learning from the server itself where it listens: it writes a file when it is ready, and we watch for it. */
import { watch, type FSWatcher } from "node:fs";
import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";

/** URLs by kind of listener, as the server writes them. */
export interface ServerPorts {
  nats: string[];
  cluster?: string[];
  monitoring?: string[];
}

/** A net under the watch: some file systems give no events, and the number of watches is limited. */
const POLL_MS = 25;

export interface PortsWait {
  /** Settles when the server is ready; rejects when `cancel` was called. */
  ports: Promise<ServerPorts>;
  cancel(reason: Error): void;
}

/** Waits for the file of a server started after this call. `dir` must hold none from before. */
export function awaitPorts(dir: string): PortsWait {
  let cancel!: (reason: Error) => void;
  const ports = new Promise<ServerPorts>((resolve, reject) => {
    let watcher: FSWatcher | undefined;
    let done = false;
    const finish = (then: () => void): void => {
      if (done) return;
      done = true;
      clearInterval(timer);
      watcher?.close();
      then();
    };
    const look = (): void => {
      readPorts(dir).then(
        (found) => found && finish(() => resolve(found)),
        () => undefined, // not there yet
      );
    };
    const timer = setInterval(look, POLL_MS);
    try {
      watcher = watch(dir, look);
      watcher.on("error", () => watcher?.close());
    } catch {
      watcher = undefined; // the interval is enough
    }
    cancel = (reason) => finish(() => reject(reason));
  });
  return { ports, cancel };
}

/** What the file in `dir` says; undefined while it is not there or not complete. */
async function readPorts(dir: string): Promise<ServerPorts | undefined> {
  const name = (await readdir(dir)).find((file) => file.endsWith(".ports"));
  if (name === undefined) return undefined;
  try {
    const ports = JSON.parse(await readFile(join(dir, name), "utf8")) as Partial<ServerPorts>;
    return Array.isArray(ports.nats) && ports.nats.length > 0 ? (ports as ServerPorts) : undefined;
  } catch {
    return undefined; // half written
  }
}
