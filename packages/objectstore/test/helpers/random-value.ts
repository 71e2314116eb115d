/** Random nested values from a seed, so that a failure can be repeated. */

export type Random = () => number;

export function random(seed: number): Random {
  let state = (seed * 2654435761) >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state / 2 ** 32;
  };
}

const TEXTS = [
  "",
  "a",
  "key",
  "some longer text that is not short",
  "é",
  "日本",
  "\ud800",
  "__proto__",
  "x".repeat(300),
];

export function randomValue(next: Random, depth = 5): unknown {
  const known: object[] = [];
  const int = (below: number): number => Math.floor(next() * below);
  const make = (level: number): unknown => {
    const kind = level <= 0 ? int(9) : int(20);
    const list = (): unknown[] => Array.from({ length: int(6) }, () => make(level - 1));
    const keep = <T extends object>(object: T): T => (known.push(object), object);
    switch (kind) {
      case 0:
        return int(100);
      case 1:
        return (next() - 0.5) * 10 ** int(20);
      case 2:
        return TEXTS[int(TEXTS.length)];
      case 3:
        return next() < 0.5;
      case 4:
        return next() < 0.5 ? undefined : null;
      case 5:
        return BigInt(int(1e9)) ** BigInt(int(9)) * (next() < 0.5 ? -1n : 1n);
      case 6:
        return keep(new Date(int(1e12)));
      case 7:
        return keep(new Uint8Array(next() < 0.1 ? 70_000 : int(1500)).fill(int(256)));
      case 8:
        return keep(Float64Array.from({ length: int(20) }, next));
      case 9:
      case 10:
        return known.length > 0 ? known[int(known.length)] : "none";
      case 11: {
        const map = keep(new Map<unknown, unknown>());
        for (const item of list()) map.set(make(level - 1), item);
        return map;
      }
      case 12: {
        const set = keep(new Set<unknown>());
        for (const item of list()) set.add(item);
        return set;
      }
      case 13:
      case 14:
      case 15: {
        const array = keep<unknown[]>([]);
        for (let i = int(8); i > 0; i--) array.push(make(level - 1));
        if (next() < 0.1) array.length += int(3);
        return array;
      }
      default: {
        const object = keep<Record<string, unknown>>({});
        for (let i = int(7); i > 0; i--) object[`k${int(12)}`] = make(level - 1);
        if (next() < 0.05) for (let i = 0; i < 70; i++) object[`wide${i}`] = i;
        return object;
      }
    }
  };
  return make(depth);
}
