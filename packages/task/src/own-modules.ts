/**
 * Modules of this library that have actor classes. They lie elsewhere on each machine, so they travel by a name of
 * their own instead of a path: `stingray:util`. Each process finds its own copy.
 */
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const SCHEME = "stingray:";

/** The name of `stingray/util` as the module of its classes. */
export const UTIL_MODULE = `${SCHEME}util`;

interface Place {
  /** The package beside this one. */
  readonly own: string;
  /** What a program imports. */
  readonly public: string;
}

const PLACES: Readonly<Record<string, Place>> = {
  [UTIL_MODULE]: { own: "@stingray/util", public: "stingray/util" },
};

export function isOwnModule(module: string): boolean {
  return module.startsWith(SCHEME);
}

/**
 * Where such a module lies.
 * @throws Error of the module resolution where it is not installed
 */
export function ownModuleUrl(module: string, root: string): string {
  const place = PLACES[module];
  return place === undefined ? module : findInstalled(place, root);
}

/** With the rest of this installation, else with the job's program. */
export function findInstalled(place: Place, root: string): string {
  try {
    return import.meta.resolve(place.own);
  } catch {
    return pathToFileURL(createRequire(join(root, "main.js")).resolve(place.public)).href;
  }
}
