/** Where stores lie, and clearing away those whose process was killed. */
import { lstatSync, statfsSync } from "node:fs";
import { lstat, mkdir, mkdtemp, readdir, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { InvalidOptionError } from "@stingray/protocol";
import { errorCode } from "./files.js";
import { ownerState, writeOwner } from "./owner.js";

const SHM = "/dev/shm";
const MiB = 1024 * 1024;
/** Containers often have a /dev/shm of 64 MiB, which is of no use. */
const LEAST_SHM = 128 * MiB;
/** A directory that was begun so long ago and has no owner was left by a process that died meanwhile. */
const STALE_MS = 60_000;
const BEGUN = ".new-";
const TRIES = 10;

export interface StorePlace {
  readonly path: string;
  /** Why it is not in shared memory, and what to do about it. */
  readonly warning?: string;
}

const userId = (): number => process.getuid?.() ?? 0;

/** Bytes free in `/dev/shm`; undefined where there is none. */
function shmFree(): number | undefined {
  try {
    if (!lstatSync(SHM).isDirectory()) return undefined;
    const { bavail, bsize } = statfsSync(SHM);
    return bavail * bsize;
  } catch {
    return undefined;
  }
}

/**
 * The directory that the stores of this user lie in: `/dev/shm/stingray-<uid>`, or under the temporary directory,
 * with a warning, where `/dev/shm` is missing or has less than `least` bytes free (default 128 MiB).
 */
export function storeRoot(options: { least?: number } = {}): StorePlace {
  const least = options.least ?? LEAST_SHM;
  const free = process.platform === "linux" ? shmFree() : undefined;
  if (free !== undefined && free >= least) return { path: join(SHM, `stingray-${userId()}`) };
  // Not `stingray-<uid>`: there, sockets and logs of nodes are.
  const path = join(tmpdir(), `stingray-store-${userId()}`);
  const why =
    free === undefined
      ? "there is no /dev/shm on this machine"
      : `/dev/shm has ${Math.floor(free / MiB)} MiB free and ${Math.ceil(least / MiB)} MiB are needed`;
  return {
    path,
    warning: `${why}: objects are kept in files in ${path}, which is slower; give /dev/shm more room (docker: --shm-size)`,
  };
}

/** The store directory of a node, under {@link storeRoot}. */
export function defaultStoreDir(node: string, options: { least?: number } = {}): StorePlace {
  const { path, warning } = storeRoot(options);
  return warning === undefined ? { path: join(path, node) } : { path: join(path, node), warning };
}

/**
 * Creates `dir` for this process, with its owner file in it from the first moment that it is seen.
 * @throws InvalidOptionError if a living process has it, or others could replace what is in its parent
 */
export async function claimDir(dir: string): Promise<void> {
  const begun = await begin(dirname(dir));
  try {
    await writeOwner(begun);
    await rename(begun, dir).catch(async (thrown: unknown) => {
      const code = errorCode(thrown);
      if (code !== "ENOTEMPTY" && code !== "EEXIST" && code !== "EPERM") throw thrown;
      if ((await ownerState(dir)) !== "dead") {
        throw new InvalidOptionError(
          `object store directory ${dir} is in use, or is not a store: choose another`,
        );
      }
      await rm(dir, { recursive: true, force: true });
      await rename(begun, dir);
    });
  } finally {
    await rm(begun, { recursive: true, force: true });
  }
}

/** A new directory in `parent`, mode 0700. The last other store in it may just be removing it, now that it is empty. */
async function begin(parent: string): Promise<string> {
  for (let left = TRIES; ; left--) {
    await mkdir(parent, { recursive: true, mode: 0o700 });
    try {
      await checkParent(parent);
      return await mkdtemp(join(parent, BEGUN));
    } catch (thrown) {
      if (errorCode(thrown) !== "ENOENT" || left === 0) throw thrown;
    }
  }
}

/** What is written there must be for this user only: nobody else may be able to move it away and put in something else. */
async function checkParent(parent: string): Promise<void> {
  if (process.platform === "win32") return;
  const { mode, uid } = await lstat(parent);
  const STICKY = 0o1000;
  const OTHERS_WRITE = 0o022;
  const safe = (mode & STICKY) !== 0 || (mode & OTHERS_WRITE) === 0;
  if (safe && (uid === userId() || uid === 0)) return;
  throw new InvalidOptionError(
    `the parent of an object store, ${parent}, belongs to another user or can be written by others: choose a directory of your own`,
  );
}

/** Removes the stores under `root` whose process is gone, however it ended. Returns their paths. */
export async function sweepDeadStores(root: string): Promise<string[]> {
  const swept: string[] = [];
  const entries = await readdir(root, { withFileTypes: true }).catch(() => []);
  for (const entry of entries) {
    if (!entry.isDirectory()) continue;
    const dir = join(root, entry.name);
    const dead = entry.name.startsWith(BEGUN) ? await isStale(dir) : (await ownerState(dir)) === "dead";
    if (!dead) continue;
    await rm(dir, { recursive: true, force: true });
    swept.push(dir);
  }
  return swept;
}

async function isStale(dir: string): Promise<boolean> {
  const state = await ownerState(dir);
  if (state !== "unknown") return state === "dead";
  const found = await lstat(dir).catch(() => undefined);
  return found !== undefined && found.uid === userId() && Date.now() - found.mtimeMs > STALE_MS;
}
