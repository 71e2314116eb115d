/** `npm run bench -- actors`. */
import { Floors } from "../floors/floors.js";
import type { BenchOptions } from "../options.js";
import type { BenchFile } from "../report.js";
import type { Progress } from "../run.js";
import { prepareRun, runSuite, type SuiteGroup } from "../suite.js";
import { callCases } from "./calls.js";
import { creationCases } from "./creation.js";
import { durableCases } from "./durable.js";
import { densityCase, memoryCases } from "./memory.js";
import { actorSizes } from "./sizes.js";

/** Every case, by the cluster that it runs in. Calls are measured over both kinds of links unless only one is asked for. */
function actorGroups({
  small,
  links,
  floors: wanted,
}: Pick<BenchOptions, "small" | "links" | "floors">): SuiteGroup[] {
  const sizes = actorSizes(small);
  const nats = { cpus: sizes.cpus, links: "nats" } as const;
  const own = links === "nats" ? nats : { cpus: sizes.cpus };
  let up: Floors | undefined;
  const prepare = async (): Promise<() => Promise<void>> => {
    if (wanted) up = await Floors.start();
    return async () => {
      await up?.stop();
      up = undefined;
    };
  };
  const floors = (): Floors | undefined => up;
  const overBroker = { cluster: nats, prepare, cases: callCases({ sizes, links: "nats", floors }) };
  return [
    { cluster: own, cases: creationCases(sizes) },
    ...(links === "nats" ? [] : [{ cluster: own, prepare, cases: callCases({ sizes, links, floors }) }]),
    overBroker,
    { cluster: own, cases: durableCases(sizes) },
    { cluster: own, cases: memoryCases(sizes) },
    { cluster: undefined, cases: [densityCase(sizes, links)] },
  ];
}

/** Names of all cases of the suite, in the order in which they run. */
export function actorCaseNames({ small, links }: Pick<BenchOptions, "small" | "links">): string[] {
  return actorGroups({ small, links, floors: false }).flatMap(({ cases }) => cases.map((one) => one.name));
}

/** Runs the suite. Ends everything that it started, also when it fails or `signal` stops it. */
export async function runActors(
  o: BenchOptions,
  progress: Progress,
  signal?: AbortSignal,
): Promise<BenchFile> {
  const natsServer = await prepareRun(progress);
  return runSuite({ suite: "actors", groups: actorGroups(o), natsServer, o, progress, signal });
}
