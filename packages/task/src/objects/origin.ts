/** Where in the user's program an object was made, for `stingray memory`. */

/** Frames of our own, of packages that call for others, and of the platform say nothing about the user's program. */
const OTHERS = /[\\/]node_modules[\\/]|^node:|^$/;
const OWN = new URL("../../../..", import.meta.url).pathname;
const DEPTH = 12;

/**
 * `file:line` of the first frame of the user's program above this call; undefined where there is none. It costs some
 * microseconds, so it is for large objects.
 */
export function callSite(): string | undefined {
  const { stackTraceLimit } = Error;
  const before = Object.getOwnPropertyDescriptor(Error, "prepareStackTrace");
  const holder: { stack?: unknown } = {};
  try {
    // Call sites as they are: turning them into text would also look up source maps.
    Error.stackTraceLimit = DEPTH;
    Error.prepareStackTrace = (_, sites) => sites;
    Error.captureStackTrace(holder, callSite);
    const sites = holder.stack;
    if (!Array.isArray(sites)) return undefined;
    for (const site of sites as NodeJS.CallSite[]) {
      const file = site.getFileName() ?? "";
      const path = file.startsWith("file://") ? file.slice("file://".length) : file;
      if (OTHERS.test(path) || isOwn(path)) continue;
      return `${path}:${site.getLineNumber() ?? 0}`;
    }
    return undefined;
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
    if (before === undefined) Reflect.deleteProperty(Error, "prepareStackTrace");
    else Object.defineProperty(Error, "prepareStackTrace", before);
  }
}

/** Our packages in a checkout, which are not below node_modules there. */
function isOwn(path: string): boolean {
  return path.startsWith(OWN) && /^[^\\/]+[\\/]dist[\\/]src[\\/]/.test(path.slice(OWN.length));
}
