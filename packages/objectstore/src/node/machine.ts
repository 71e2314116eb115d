/** What can become of an object in the store of a node: states, events, and what each state takes. No files. */
import { InvalidArgumentError } from "@stingray/protocol";

/** A `copy` of another node's object may be dropped at any time; a `primary` may not. */
export type Role = "primary" | "copy";

/**
 * - `writing`: room is reserved and its writer is not done. `doomed`: freed meanwhile, to go when the writer is done
 * - `memory`: complete in shared memory. `saved`: on disk as well
 * - `spilling`: in memory, and being written to disk
 * - `spilled`: on disk only
 * - `restoring`: on disk, and being read back
 * - `disk`: made on disk, because it did not fit into memory
 * - `gone`: not in the store any more; every late event finds this
 */
export type State =
  | { readonly at: "writing"; readonly on: "memory" | "disk"; readonly role: Role; readonly doomed: boolean }
  | { readonly at: "memory"; readonly role: Role; readonly saved: boolean }
  | { readonly at: "spilling"; readonly role: Role }
  | { readonly at: "spilled"; readonly role: Role }
  | { readonly at: "restoring"; readonly role: Role }
  | { readonly at: "disk"; readonly role: Role }
  | { readonly at: "gone" };

/**
 * - `seal`, `abandon`: its writer is done, or will never be
 * - `free`: nobody needs it any more; `lose`: its bytes are not there any more, or not right
 * - `keep`: it is not to be dropped from now on
 * - `spill`, then `saved` or `unsaved`; `unsaved` too when the part on disk turns out to be damaged
 * - `evict`: its memory is needed
 * - `restore`, then `restored` or `unrestored`
 */
export type Event =
  | "seal"
  | "abandon"
  | "free"
  | "lose"
  | "keep"
  | "spill"
  | "saved"
  | "unsaved"
  | "evict"
  | "restore"
  | "restored"
  | "unrestored";

const GONE: State = { at: "gone" };

/**
 * The one place that says what follows from what.
 * @throws InvalidArgumentError for an event that makes no sense in this state
 */
export function transition(state: State, event: Event): State {
  if (state.at === "gone") return state;
  if (state.at === "writing") return whileWriting(state, event);
  const { role } = state;
  switch (event) {
    case "free":
    case "lose":
      return GONE;
    case "keep":
      return { ...state, role: "primary" };
    case "spill":
      if (state.at === "memory" && !state.saved) return { at: "spilling", role };
      break;
    case "saved":
      if (state.at === "spilling") return { at: "memory", role, saved: true };
      break;
    case "unsaved":
      if (state.at === "spilling" || state.at === "memory") return { at: "memory", role, saved: false };
      break;
    case "evict":
      if (state.at !== "memory") break;
      if (state.saved) return { at: "spilled", role };
      if (role === "copy") return GONE;
      break;
    case "restore":
      if (state.at === "spilled") return { at: "restoring", role };
      break;
    case "restored":
      if (state.at === "restoring") return { at: "memory", role, saved: true };
      break;
    case "unrestored":
      if (state.at === "restoring") return { at: "spilled", role };
      break;
    case "seal":
    case "abandon":
      break;
  }
  throw impossible(state, event);
}

function whileWriting(state: State & { at: "writing" }, event: Event): State {
  const { role } = state;
  switch (event) {
    case "seal":
      if (state.doomed) return GONE;
      return state.on === "disk" ? { at: "disk", role } : { at: "memory", role, saved: false };
    case "abandon":
    case "lose":
      return GONE;
    case "free":
      return { ...state, doomed: true };
    case "keep":
      return { ...state, role: "primary" };
    case "spill":
    case "saved":
    case "unsaved":
    case "evict":
    case "restore":
    case "restored":
    case "unrestored":
      throw impossible(state, event);
  }
}

function impossible(state: State, event: Event): InvalidArgumentError {
  return new InvalidArgumentError(
    `the object store was told "${event}" of an object that is ${JSON.stringify(state)}: this is a defect, report it`,
  );
}

/** Who takes what in a state, for an object whose file has `length` bytes. */
export function bytesIn(state: State, length: number): { memory: number; disk: number } {
  switch (state.at) {
    case "writing":
      return state.on === "disk" ? { memory: 0, disk: length } : { memory: length, disk: 0 };
    case "memory":
      return { memory: length, disk: state.saved ? length : 0 };
    case "spilling":
    case "restoring":
      return { memory: length, disk: length };
    case "spilled":
    case "disk":
      return { memory: 0, disk: length };
    case "gone":
      return { memory: 0, disk: 0 };
  }
}

/** It is here whole, wherever it lies. */
export const isComplete = (state: State): boolean => state.at !== "writing" && state.at !== "gone";
