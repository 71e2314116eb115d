/** Placement groups as `stingray status` shows them. */
import type { GroupView } from "@stingray/protocol";
import { showResources } from "./values.js";

/** Bundles beyond so many are only counted. */
const MOST_BUNDLES = 8;

/** One line for each group: name, state, strategy, where its bundles are, and what it waits for. */
export function describeGroups(groups: readonly GroupView[]): string[] {
  return groups.map((group) => {
    const name = group.name === undefined ? group.group : `"${group.name}" (${group.group})`;
    const life = group.detached ? ", detached" : "";
    const bundles = group.bundles.slice(0, MOST_BUNDLES).map((bundle, index) => {
      const node = group.nodes[index] ?? "";
      return `${index} { ${showResources(bundle)} } ${node === "" ? "nowhere" : `on ${node}`}`;
    });
    if (group.bundles.length > MOST_BUNDLES) bundles.push(`${group.bundles.length - MOST_BUNDLES} more`);
    const waits = group.state === "PENDING" || group.state === "RESCHEDULING";
    const reason = waits && group.cause !== undefined ? `; waits: ${group.cause.message}` : "";
    return `  ${name}: ${group.state}, ${group.strategy}${life}; bundles ${bundles.join(", ")}${reason}`;
  });
}
