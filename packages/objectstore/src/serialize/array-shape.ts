/** What an array has beside a row of items: absent ones, and named properties. */

/** Arrays up to this length are looked over for named properties. */
const LOOKED_OVER = 64;
/** After so many absent items in a row, the rest is listed by its keys instead. */
const LONG_HOLE = 1000;

/** The index behind the run of absent items that begins at `from`. */
export function endOfHoles(array: readonly unknown[], from: number): number {
  const { length } = array;
  let end = from + 1;
  while (end < length && end - from < LONG_HOLE && !(end in array)) end++;
  if (end - from < LONG_HOLE) return end;
  // A run may be billions long, while the keys list only what is there, indices first and in ascending order.
  for (const key of Object.keys(array)) {
    if (!isIndex(key, length)) break;
    if (Number(key) > from) return Number(key);
  }
  return length;
}

/** `match.index` and the like. For long arrays only what the language itself adds is looked for: listing keys is slow. */
export function namedProperties(array: readonly unknown[]): readonly string[] {
  const { length } = array;
  if (length > LOOKED_OVER && !Object.hasOwn(array, "index") && !Object.hasOwn(array, "raw")) return NONE;
  const names = Object.keys(array);
  const last = names.at(-1);
  // Indices come first, so a named property, if there is one, is the last.
  if (last === undefined || isIndex(last, length)) return NONE;
  return names.filter((name) => !isIndex(name, length));
}
const NONE: readonly string[] = Object.freeze([]);

function isIndex(name: string, length: number): boolean {
  const index = Number(name);
  return index < length && String(index) === name;
}
