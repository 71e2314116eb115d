/**
 * Actors of one class and options differ in little: what they have in common, their template, is sent once to each
 * process, stored once, and kept once.
 */
import { createHash } from "node:crypto";
import { optional, record, text, type Check } from "./check.js";
import { actorId, objectId } from "./messages/id-checks.js";
import { specArgs, type ActorSpec } from "./specs.js";
import type { ValueDesc } from "./messages/values.js";

/** What a spec has for itself, and the key of its template. */
export interface OwnSpec {
  actor: string;
  template: string;
  args: Uint8Array | ValueDesc[];
  handleRef?: string | undefined;
  name?: string | undefined;
}
export const ownSpec: Check<OwnSpec> = record<OwnSpec>({
  actor: actorId,
  template: text,
  args: specArgs,
  handleRef: optional(objectId),
  name: optional(text),
});

const NO_ARGS = new Uint8Array();
const KEY_LENGTH = 20;

export class SpecTemplates {
  private readonly bases = new Map<string, ActorSpec>();
  /** Keys by what all specs of a template share. */
  private readonly keys = new WeakMap<object, string>();

  /** The template of a spec, which is kept from now on. */
  keyOf(spec: ActorSpec): string {
    const known = this.keys.get(spec.methods);
    if (known !== undefined) return known;
    const { actor: _actor, args: _args, handleRef: _ref, name: _name, ...common } = spec;
    const hash = createHash("sha256")
      .update(JSON.stringify(sorted(common)))
      .digest("hex");
    const key = `${spec.job}/${hash.slice(0, KEY_LENGTH)}`;
    this.add(key, spec);
    return key;
  }

  /** Its own part. */
  split(spec: ActorSpec): OwnSpec {
    const { actor, args, handleRef, name } = spec;
    const own: OwnSpec = { actor, template: this.keyOf(spec), args };
    if (handleRef !== undefined) own.handleRef = handleRef;
    if (name !== undefined) own.name = name;
    return own;
  }

  /** The whole; undefined where the template is not known. */
  join({ actor, template, args, handleRef, name }: OwnSpec): ActorSpec | undefined {
    const base = this.bases.get(template);
    if (base === undefined) return undefined;
    const spec: ActorSpec = { ...base, actor, args };
    if (handleRef !== undefined) spec.handleRef = handleRef;
    if (name !== undefined) spec.name = name;
    return spec;
  }

  /** The spec of any of its actors makes a template known. */
  add(key: string, spec: ActorSpec): void {
    if (!this.bases.has(key)) {
      const { handleRef: _ref, name: _name, ...base } = spec;
      this.bases.set(key, { ...base, args: NO_ARGS });
    }
    this.keys.set((this.bases.get(key) as ActorSpec).methods, key);
    this.keys.set(spec.methods, key);
  }

  /** What all its specs have in common; the fields of their own are those of some actor, or empty. */
  base(key: string): ActorSpec | undefined {
    return this.bases.get(key);
  }

  /** No actor of the job is made any more. */
  forgetJob(job: string): void {
    for (const [key, { job: of }] of this.bases) if (of === job) this.bases.delete(key);
  }
}

/** Equal values give equal texts, in whatever order their fields were put in. */
function sorted(value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  const entries = Object.entries(value).filter(([, item]) => item !== undefined);
  entries.sort(([a], [b]) => (a < b ? -1 : 1));
  return entries.map(([name, item]) => [name, sorted(item)]);
}
