/** What is asked for, in words. */
import type { Shape } from "./messages/leases.js";

const GIVEN_BY_FLAG: Readonly<Record<string, string>> = { CPU: "--cpus", GPU: "--gpus", memory: "--memory" };

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
