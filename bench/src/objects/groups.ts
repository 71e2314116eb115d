import type { InitOptions } from "stingray";
import type { SuiteGroup } from "../suite.js";
import { getCases, manyCases } from "./gets.js";
import { moveCases } from "./moves.js";
import { keptCase, putCases, smallCases } from "./puts.js";
import type { ObjectSizes } from "./sizes.js";
import { broadcastCase, transferCase } from "./transfers.js";

/** Every case, by the cluster that it runs in. `home` tells the driver's node while a cluster is up. */
export function objectGroups(
  sizes: ObjectSizes,
  links: InitOptions["links"],
  home: () => string | undefined,
): SuiteGroup[] {
  const linked = links === "nats" ? { links } : {};
  const one = { ...linked, cpus: sizes.cpus, objectStoreMemory: sizes.store };
  const each = (count: number, objectStoreMemory: number): InitOptions => ({
    ...linked,
    nodes: Array.from({ length: count }, () => ({ cpus: 1, objectStoreMemory })),
  });
  return [
    { cluster: one, cases: [...putCases(sizes), ...smallCases()] },
    { cluster: undefined, cases: [keptCase(sizes, { ...linked, cpus: 1 })] },
    { cluster: one, cases: [...getCases(sizes), ...manyCases()] },
    { cluster: one, cases: moveCases(sizes) },
    { cluster: each(2, sizes.storeOfTwo), cases: [transferCase(sizes, home)] },
    { cluster: each(sizes.targets + 1, sizes.storeOfMany), cases: [broadcastCase(sizes, home)] },
  ];
}
