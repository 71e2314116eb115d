/**
 * Identifiers. They carry their origin, so that nothing has to be looked up: a task id is
 * `<process>.<sequence>`, an object id is `<task>.<index>`, and the owner of an object is read off its id.
 *
 * Every id is made of `[a-z0-9.]` only, so that it is a valid NATS subject token (or, with its dots, a run of
 * tokens), a valid key of a key-value bucket and a valid file name.
 */
import { randomBytes, randomFillSync } from "node:crypto";

declare const brand: unique symbol;
type Id<K extends string> = string & { readonly [brand]: K };

/** A process that takes part in the cluster: a driver (`d…`), a worker (`w…`) or a node agent (`g…`). */
export type ProcessId = Id<"process">;
/** One life of a node agent (`n…`). A node that was declared dead comes back under a new id. */
export type NodeId = Id<"node">;
/** One run of a driver (`j…`). */
export type JobId = Id<"job">;
/** An actor, over all its incarnations (`a…`). */
export type ActorId = Id<"actor">;
/** `<process>.<sequence>`: the process that submitted it, and a number that grows by one per task. */
export type TaskId = Id<"task">;
/** `<task>.<index>`: result number `index` of a task. A `put` takes a task id of its own and index 0. */
export type ObjectId = Id<"object">;
/** A placement group (`b…`). */
export type GroupId = Id<"group">;

const ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz";
/** 12 characters of base 36 are 62 bits: no collision to be expected below a billion processes. */
const RANDOM_LENGTH = 12;
const LARGEST_FAIR_BYTE = 252; // 7 * 36: bytes above it would favour the first letters

/** Fetched for many ids at a time: asking for a few bytes costs as much as asking for thousands. */
const random = new Uint8Array(4_096);
let used = random.length;

function randomToken(): string {
  let token = "";
  while (token.length < RANDOM_LENGTH) {
    if (used === random.length) {
      randomFillSync(random);
      used = 0;
    }
    const byte = random[used++] as number;
    if (byte < LARGEST_FAIR_BYTE) token += ALPHABET[byte % 36];
  }
  return token;
}

export const newDriverId = (): ProcessId => `d${randomToken()}` as ProcessId;
export const newWorkerId = (): ProcessId => `w${randomToken()}` as ProcessId;
export const newAgentId = (): ProcessId => `g${randomToken()}` as ProcessId;
export const newNodeId = (): NodeId => `n${randomToken()}` as NodeId;
export const newJobId = (): JobId => `j${randomToken()}` as JobId;
export const newActorId = (): ActorId => `a${randomToken()}` as ActorId;
export const newGroupId = (): GroupId => `b${randomToken()}` as GroupId;
/** A random secret for tokens and handshakes: 32 bytes in hexadecimal. */
export const newSecret = (): string => randomBytes(32).toString("hex");

export const taskIdOf = (process: ProcessId, sequence: number): TaskId => `${process}.${sequence}` as TaskId;
export const objectIdOf = (process: ProcessId, sequence: number, index: number): ObjectId =>
  `${process}.${sequence}.${index}` as ObjectId;

/** The process that submitted the task, or made the object. */
export function ownerOf(id: ObjectId | TaskId): ProcessId {
  return id.slice(0, id.indexOf(".")) as ProcessId;
}

/** The task that made the object. */
export function taskOf(id: ObjectId): TaskId {
  return id.slice(0, id.lastIndexOf(".")) as TaskId;
}

const PROCESS = /^[dwg][a-z0-9]{12}$/;
const OBJECT = /^[dwg][a-z0-9]{12}\.\d{1,16}\.\d{1,10}$/;
const TASK = /^[dwg][a-z0-9]{12}\.\d{1,16}$/;
const NODE = /^n[a-z0-9]{12}$/;
const JOB = /^j[a-z0-9]{12}$/;
const ACTOR = /^a[a-z0-9]{12}$/;
const GROUP = /^b[a-z0-9]{12}$/;

const is = (shape: RegExp, value: unknown): boolean => typeof value === "string" && shape.test(value);

/** Checks for what comes from outside. They look at the shape only, not at whether the thing exists. */
export const isProcessId = (value: unknown): value is ProcessId => is(PROCESS, value);
/** Of the processes, a node agent. */
export const isAgentId = (value: unknown): value is ProcessId => isProcessId(value) && value.startsWith("g");
/** Of the processes, a driver: it may outlive the node agent of its machine. */
export const isDriverId = (value: unknown): value is ProcessId => isProcessId(value) && value.startsWith("d");
export const isObjectId = (value: unknown): value is ObjectId => is(OBJECT, value);
export const isTaskId = (value: unknown): value is TaskId => is(TASK, value);
export const isNodeId = (value: unknown): value is NodeId => is(NODE, value);
export const isJobId = (value: unknown): value is JobId => is(JOB, value);
export const isActorId = (value: unknown): value is ActorId => is(ACTOR, value);
export const isGroupId = (value: unknown): value is GroupId => is(GROUP, value);
