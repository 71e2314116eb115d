/** A directory that tasks of fixtures/placement.ts write into, and wait on. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "stingray/testing";
import type { Given } from "../fixtures/placement.js";

export class Stage {
  readonly directory = mkdtempSync(join(tmpdir(), "st-stage-"));

  /** Those that have begun, in this order. */
  began(): Given[] {
    try {
      const lines = readFileSync(join(this.directory, "began"), "utf8").split("\n");
      return lines.filter((line) => line !== "").map((line) => JSON.parse(line) as Given);
    } catch {
      return [];
    }
  }

  /** Waits until `count` have begun, and no more. */
  async has(count: number): Promise<Given[]> {
    return eventually(() => {
      const all = this.began();
      if (all.length !== count) throw new Error(`${all.length} have begun`);
      return all;
    }, `${count} have begun`);
  }

  /** Those that wait for this end. */
  go(until = "go"): void {
    writeFileSync(join(this.directory, until), "");
  }

  [Symbol.dispose](): void {
    this.go();
    rmSync(this.directory, { recursive: true, force: true });
  }
}
