/** What users are told about what waits. */
import type { Shape } from "@stingray/protocol";

const GIVEN_BY_FLAG: Readonly<Record<string, string>> = { CPU: "--cpus", GPU: "--gpus", memory: "--memory" };
/** Names beyond these are only counted. */
const MOST_NAMES = 3;

/** `{ GPU: 1, special: 2 }`, or `no resources`. */
export function describeResources(resources: Readonly<Record<string, number>>): string {
  const entries = Object.entries(resources).filter(([, amount]) => amount > 0);
  if (entries.length === 0) return "no resources";
  return `{ ${entries.map(([name, amount]) => `${name}: ${amount}`).join(", ")} }`;
}

/** The resources and labels of a shape: `{ GPU: 1 }`, `{ CPU: 1 } with labels zone=b`. */
export function describeShape({ resources, labels }: Shape): string {
  const wanted = Object.entries(labels ?? {}).map(([name, rule]) => `${name}=${rule}`);
  return describeResources(resources) + (wanted.length === 0 ? "" : ` with labels ${wanted.join(", ")}`);
}

/** `3 tasks (load, train)`, `1 task (load)`. */
export function describeTasks(count: number, names: Iterable<string>): string {
  const distinct = [...new Set(names)];
  const more = distinct.length - MOST_NAMES;
  const shown = distinct.slice(0, MOST_NAMES).join(", ") + (more > 0 ? ` and ${more} more` : "");
  return `${count} task${count === 1 ? "" : "s"} (${shown})`;
}

/** The options of `stingray start` for a node that could do this: `--cpus 4 --resources '{"special":1}'`. */
export function startOptions({ resources, labels }: Shape): string {
  const options: string[] = [];
  const custom: Record<string, number> = {};
  for (const [name, amount] of Object.entries(resources)) {
    if (amount <= 0) continue;
    const flag = GIVEN_BY_FLAG[name];
    if (flag === undefined) custom[name] = amount;
    else options.push(`${flag} ${name === "GPU" ? Math.ceil(amount) : amount}`);
  }
  if (Object.keys(custom).length > 0) options.push(`--resources '${JSON.stringify(custom)}'`);
  const plain = Object.entries(labels ?? {}).filter(([, rule]) => /^[^!(),]+$/.test(rule));
  if (plain.length > 0) options.push(`--labels ${plain.map(([k, v]) => `${k}=${v}`).join(",")}`);
  return options.join(" ");
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
    `${what} wait${count === 1 ? "s" : ""} for ${describeShape(shape)}: ${reason}. ` +
    `This goes on until a node joins that can: add one (stingray start ${startOptions(shape)}), ` +
    `or ask for what there is; "stingray why ${id}" tells more`
  );
}

/** One line for the user: it has waited for long. */
export function busyText({ what, count, shape, reason, id }: Waiting): string {
  return `${what} still wait${count === 1 ? "s" : ""} for ${describeShape(shape)}: ${reason}; "stingray why ${id}" tells more`;
}
