import { StingrayError } from "@stingray/protocol";
import type { BenchOptions } from "../options.js";
import type { BenchFile } from "../report.js";
import type { Progress } from "../run.js";
import { prepareRun, runSuite } from "../suite.js";
import { objectGroups } from "./groups.js";
import { objectSizes, shortOfMemory } from "./sizes.js";

/** Names of all cases of the suite, in the order in which they run. */
export function objectCaseNames({ small }: Pick<BenchOptions, "small">): string[] {
  return objectGroups(objectSizes(small), "auto", () => undefined).flatMap(({ cases }) =>
    cases.map((one) => one.name),
  );
}

/**
 * Runs the suite. Ends everything that it started, also when it fails or `signal` stops it.
 * @throws StingrayError where the machine has too little memory
 */
export async function runObjects(
  o: BenchOptions,
  progress: Progress,
  signal?: AbortSignal,
): Promise<BenchFile> {
  const short = o.small ? undefined : await shortOfMemory();
  if (short !== undefined) throw new StingrayError(short);
  const natsServer = await prepareRun(progress);
  let home: string | undefined;
  const groups = objectGroups(objectSizes(o.small), o.links, () => home);
  const onCluster = (node: string | undefined): void => void (home = node);
  return runSuite({ suite: "objects", groups, onCluster, natsServer, o, progress, signal });
}
