/** What users are told about what waits. */
import { describeShape, startOptions, type Shape } from "@stingray/protocol";

/** Names beyond these are only counted. */
const MOST_NAMES = 3;

/** `3 tasks (load, train)`, `1 task (load)`. */
export function describeTasks(count: number, names: Iterable<string>): string {
  const distinct = [...new Set(names)];
  const more = distinct.length - MOST_NAMES;
  const shown = distinct.slice(0, MOST_NAMES).join(", ") + (more > 0 ? ` and ${more} more` : "");
  return `${count} task${count === 1 ? "" : "s"} (${shown})`;
}

/** What waits, in a message to the user. */
export interface Waiting {
  /** `3 tasks (load, train)`, `actor Counter (a…)` */
  readonly what: string;
  readonly count: number;
  readonly shape: Shape;
  /** As the scheduler said. */
  readonly reason: string;
  /** What `stingray why` may be asked about. */
  readonly id: string;
}

/** One line for the user: no node can do this as they are. */
export function infeasibleText({ what, count, shape, reason, id }: Waiting): string {
  return (
    `${what} wait${count === 1 ? "s" : ""} for ${describeShape(shape)}: ${reason}. ` + adviceText(shape, id)
  );
}

/** What can be done about what no node can do. */
export function adviceText(shape: Shape, id: string): string {
  return (
    `This goes on until a node joins that can: add one (stingray start ${startOptions(shape)}), ` +
    `or ask for what there is; "stingray why ${id}" tells more`
  );
}

/** One line for the user: it has waited for long. */
export function busyText({ what, count, shape, reason, id }: Waiting): string {
  return `${what} still wait${count === 1 ? "s" : ""} for ${describeShape(shape)}: ${reason}; "stingray why ${id}" tells more`;
}
