/** When an actor is put to sleep. */
import { InvalidOptionError, type ActorOptions, type MethodSpec } from "@stingray/protocol";

/** Of those whose state is saved. Milliseconds. */
const DEFAULT_AFTER_MS = 600_000;

/**
 * `passivateAfterMs` of the spec: -1 for never; undefined where calls are not kept, so that nothing could wake it.
 * @throws InvalidOptionError
 */
export function passivateAfter(
  className: string,
  { mailbox, passivateAfterMs }: ActorOptions,
  methods: Readonly<Record<string, MethodSpec>>,
): number | undefined {
  if (mailbox !== "durable") {
    if (passivateAfterMs === undefined) return undefined;
    throw new InvalidOptionError(
      `remote(${className}): passivateAfterMs is for actors with a durable mailbox, since what comes for one that sleeps ` +
        `has to be kept: add mailbox: "durable", or leave it out`,
      { detail: { option: "passivateAfterMs" } },
    );
  }
  if (passivateAfterMs !== undefined) return Number.isFinite(passivateAfterMs) ? passivateAfterMs : -1;
  const isSaved = Object.hasOwn(methods, "snapshot") && Object.hasOwn(methods, "restore");
  return isSaved ? DEFAULT_AFTER_MS : -1;
}
