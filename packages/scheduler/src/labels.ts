/** Label selectors: `v` (is), `!v` (is not), `in(a, b)` (one of), `!in(a, b)` (none of). */
import { InvalidOptionError } from "@stingray/protocol";

/** One parsed selector. `values` has at least one member. */
export interface LabelRule {
  readonly negated: boolean;
  readonly values: ReadonlySet<string>;
}

const LIST = /^in\s*\((.*)\)$/s;
/** What can't be in a plain value, so that a forgotten bracket is an error and not a label nobody has. */
const RESERVED = /[(),!]/;

/**
 * Parses the selector of one label.
 * @throws InvalidOptionError when it is empty or malformed.
 */
export function parseLabelRule(label: string, selector: string): LabelRule {
  let rest = selector.trim();
  const negated = rest.startsWith("!");
  if (negated) rest = rest.slice(1).trim();
  const list = LIST.exec(rest);
  const values = list === null ? [rest] : (list[1] ?? "").split(",").map((value) => value.trim());
  if (values.some((value) => value === "" || RESERVED.test(value))) {
    throw new InvalidOptionError(
      `the selector ${JSON.stringify(selector)} of label ${JSON.stringify(label)} can't be read; ` +
        `write "value", "!value", "in(a, b)" or "!in(a, b)"`,
    );
  }
  return { negated, values: new Set(values) };
}

/** Selectors of several labels; a node must satisfy all of them. */
export class LabelSelector {
  readonly #rules: readonly (readonly [label: string, rule: LabelRule, text: string])[];

  /** @throws InvalidOptionError when one is malformed. */
  constructor(selectors: Record<string, string> = {}) {
    this.#rules = Object.entries(selectors).map(([label, text]) => [
      label,
      parseLabelRule(label, text),
      text,
    ]);
  }

  /** Why a node with these labels does not do, or undefined if it does. A missing label satisfies negations only. */
  mismatch(labels: Record<string, string>): string | undefined {
    for (const [label, rule, text] of this.#rules) {
      const value = Object.hasOwn(labels, label) ? labels[label] : undefined;
      if ((value !== undefined && rule.values.has(value)) === rule.negated) {
        return `wants label ${label} ${text}, this node has ${value === undefined ? "none" : value}`;
      }
    }
    return undefined;
  }
}
