/** A directory in shared memory for one test, and proof that nothing stays in it. */
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";

const ROOT = process.platform === "linux" ? "/dev/shm" : tmpdir();

export interface Place {
  readonly path: string;
  /** Fails if something is left, and removes it. */
  leave(): void;
}

export function place(): Place {
  const path = mkdtempSync(join(ROOT, "stingray-test-"));
  return {
    path,
    leave() {
      const left = readdirSync(path);
      rmSync(path, { recursive: true, force: true });
      expect(left, "left behind").to.deep.equal([]);
    },
  };
}
