/** Which options go with `isolation: "shared"`. */
import { InvalidOptionError, type ActorOptions } from "@stingray/protocol";

/** @throws InvalidOptionError for resources, a place in a placement group, or a durable mailbox, of an actor that lives with others */
export function checkShared(className: string, options: ActorOptions): void {
  if (options.isolation !== "shared") return;
  const { cpus, gpus, memory, resources, scheduling } = options;
  const held = Object.entries({ cpus, gpus, memory, ...resources }).find(([, amount]) => (amount ?? 0) > 0);
  if (held !== undefined) {
    throw new InvalidOptionError(
      `remote(${className}): ${held[0]}: ${held[1]} can't be held by an actor with isolation "shared", which lives in one ` +
        `process with others: leave the resource out, or use isolation "process"`,
    );
  }
  if (options.mailbox === "durable") {
    throw new InvalidOptionError(
      `remote(${className}): isolation "shared" and mailbox "durable" don't go together yet: use isolation "process" for ` +
        `actors whose calls must outlive them`,
    );
  }
  if (typeof scheduling === "object" && "placementGroup" in scheduling) {
    throw new InvalidOptionError(
      `remote(${className}): an actor with isolation "shared" holds no resources, and so has no place in a placement ` +
        `group: leave scheduling out, or use isolation "process"`,
    );
  }
}
