/**
 * Keys. A key is tokens of `[A-Za-z0-9_=-]` joined by `.` or `/`; a prefix is a run of whole tokens from the start.
 * The broker can only select by tokens joined with dots, so `a/b` is stored as `a./b`: still one key for one key,
 * and `a` still selects all that lies under it. (Other text is made a token by `encodeToken` of the protocol.)
 */
import { encodeToken, InvalidArgumentError } from "@stingray/protocol";

const KEY = /^[-=\w]+(?:[./][-=\w]+)*$/;
/** Longest key, in characters. Subjects much longer than this slow the broker down. */
const MAX_KEY = 1024;

/** Keys that begin with this belong to the store itself (leases) and are in no table. */
export const RESERVED = "_";

/** @throws InvalidArgumentError where `key` is no key, or one that the store keeps for itself (unless `reserved`) */
export function checkKey(key: string, reserved = false): void {
  if (key.startsWith(RESERVED) && !reserved) {
    throw new InvalidArgumentError(
      `key "${key}" begins with _: such keys are the control store's own; use another`,
    );
  }
  checkShape(key, "key");
}

/** @throws InvalidArgumentError where `prefix` is neither empty nor a run of whole tokens */
export function checkPrefix(prefix: string): void {
  if (prefix !== "") checkShape(prefix, "prefix");
}

function checkShape(key: string, what: string): void {
  if (key.length <= MAX_KEY && KEY.test(key)) return;
  throw new InvalidArgumentError(
    `${what} "${key.slice(0, 100)}" must be at most ${MAX_KEY} characters, tokens of letters, digits, _, - and = ` +
      `joined by . or /; pass other text through encodeToken`,
  );
}

/** Whether `key` lies under `prefix`. Everything lies under the empty prefix; a key does not lie under itself. */
export function isUnder(key: string, prefix: string): boolean {
  if (prefix === "") return true;
  const next = key.charCodeAt(prefix.length);
  return (next === 46 || next === 47) && key.startsWith(prefix); // . and /
}

/** The key as a run of subject tokens. */
export const toSubject = (key: string): string => key.replaceAll("/", "./");
/** The inverse of {@link toSubject}. */
export const fromSubject = (subject: string): string => subject.replaceAll("./", "/");

/** Key in `names`: `<namespace>/<name>`, both encoded, so that a namespace is a prefix. */
export const nameKey = (namespace: string, name: string): string =>
  `${encodeToken(namespace)}/${encodeToken(name)}`;
/** First token of {@link groupNameKey}; `encodeToken` never gives it, so no namespace of actors is the same. */
const GROUP_NAMES = "=group";
/** Key in `names` of a placement group's name: apart from those of actors. */
export const groupNameKey = (namespace: string, name: string): string =>
  `${GROUP_NAMES}/${nameKey(namespace, name)}`;
/**
 * Key in `objects`, one per copy: the job first, so that all objects of a job go in one stroke, and the node last.
 * Its prefixes are {@link objectPrefix} and, as an object's id begins with its owner, `<job>.<owner>`.
 */
export const objectKey = (job: string, object: string, node: string): string =>
  `${objectPrefix(job, object)}.${node}`;
/** Prefix in `objects` of all copies of an object; with a process for the object, of all that it owns. */
export const objectPrefix = (job: string, object: string): string => `${job}.${object}`;
/** The parts of an {@link objectKey}; of any other key, whatever stands in their places. */
export function parseObjectKey(key: string): { job: string; object: string; node: string } {
  const job = key.slice(0, key.indexOf("."));
  const last = key.lastIndexOf(".");
  return { job, object: key.slice(job.length + 1, last), node: key.slice(last + 1) };
}
/** Key in `lineage`: the tasks `[run * n, (run + 1) * n)` of a process, for the `n` that the writer chose. */
export const lineageKey = (job: string, process: string, run: number): string => `${job}.${process}.${run}`;
/** Key in `packages`. `hash` is of the content. */
export const packageKey = (job: string, hash: string): string => `${job}.${encodeToken(hash)}`;
/** Key in `states` of part `index` of a large state; the actor is a prefix. */
export const statePartKey = (actor: string, set: string, index: number): string => `${actor}.${set}.${index}`;
/** Key in `reminders`; the actor is a prefix. */
export const reminderKey = (actor: string, name: string): string => `${actor}/${encodeToken(name)}`;
