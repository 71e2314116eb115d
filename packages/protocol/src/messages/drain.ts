/** How far a node has come that is being drained. */
import { list, oneOf, record, text, uint } from "../check.js";

/** What is left on a node before it can leave. */
export interface DrainLeft {
  /** Workers with tasks that run. */
  tasks: number;
  /** Actors that have neither moved nor ended. */
  actors: number;
  /** Idle workers that own objects to which others hold references: those would be lost with them. */
  owners: number;
  /** Objects that other nodes are to keep, and their bytes. */
  objects: number;
  bytes: number;
}

/** What became of what was there. */
export interface DrainDone {
  movedActors: number;
  movedObjects: number;
  movedBytes: number;
  /** Workers whose tasks still ran at the deadline. */
  endedTasks: number;
  /** Actors that could not move, or were not to be made again. */
  endedActors: number;
  /** Workers that were ended although others hold references to objects of theirs. */
  endedOwners: number;
  /** Objects that no other node has taken, though their owners live. */
  lostObjects: number;
  lostBytes: number;
}

export interface DrainView {
  /** `left`: nothing more is waited for, and the agent is about to end; what it says of itself is final. */
  state: "draining" | "left";
  reason: string;
  /** Until the deadline, in milliseconds. */
  leftMs: number;
  left: DrainLeft;
  done: DrainDone;
  /** Why something could not be moved, one line each; at most some. */
  notes: string[];
}

const MOST_NOTES = 20;

export const drainView = record<DrainView>({
  state: oneOf("draining", "left"),
  reason: text,
  leftMs: uint,
  left: record<DrainLeft>({ tasks: uint, actors: uint, owners: uint, objects: uint, bytes: uint }),
  done: record<DrainDone>({
    movedActors: uint,
    movedObjects: uint,
    movedBytes: uint,
    endedTasks: uint,
    endedActors: uint,
    endedOwners: uint,
    lostObjects: uint,
    lostBytes: uint,
  }),
  notes: list(text, MOST_NOTES),
});
