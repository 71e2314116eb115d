/** Where in a value something is, as a person would write it: `args[0].model.onChange`. */

/** A step that is neither a property (string) nor an index (number): an entry of a Map or Set, and so on. */
export class Step {
  constructor(
    private readonly kind: "mapKey" | "mapValue" | "setItem" | "wire" | "coded",
    private readonly key: unknown,
  ) {}

  toString(): string {
    switch (this.kind) {
      case "mapKey":
        return `.keys()[${String(this.key)}]`;
      case "mapValue":
        return `.get(${show(this.key)})`;
      case "setItem":
        return `.values()[${String(this.key)}]`;
      case "wire":
        return "";
      case "coded":
        return `.<encoded ${String(this.key)}>`;
    }
  }
}

export type PathSegment = string | number | Step;

const IDENTIFIER = /^[\p{L}_$][\p{L}\p{N}_$]*$/u;
const LONGEST = 40;
/** A path of a deep value shows its beginning and its end. */
const MOST_SEGMENTS = 24;

function show(key: unknown): string {
  if (typeof key === "string") {
    return JSON.stringify(key.length > LONGEST ? `${key.slice(0, LONGEST)}…` : key);
  }
  if (typeof key === "object" && key !== null) return "{…}";
  return typeof key === "bigint" ? `${key}n` : String(key);
}

function segmentText(segment: PathSegment): string {
  if (typeof segment === "number") return `[${segment}]`;
  if (typeof segment !== "string") return segment.toString();
  return IDENTIFIER.test(segment) && segment.length <= LONGEST ? `.${segment}` : `[${show(segment)}]`;
}

/** `root` and the first `depth` segments, joined; the middle of very long ones is left out. */
export function pathText(root: string, segments: readonly PathSegment[], depth: number): string {
  const all = segments.slice(0, depth);
  if (all.length <= MOST_SEGMENTS) return root + all.map(segmentText).join("");
  const half = MOST_SEGMENTS / 2;
  const begin = all.slice(0, half).map(segmentText).join("");
  const end = all.slice(-half).map(segmentText).join("");
  return `${root}${begin}…${end}`;
}
