/** What keeps the tasks and calls of this process from going on: asked by those who look for circles of waits. */
import {
  Process,
  ownerOf,
  taskIdOf,
  type NodeId,
  type ProcessId,
  type TaskId,
  type WaitSide,
  type WaitState,
} from "@stingray/protocol";
import type { Channel, Endpoint } from "@stingray/broker";
import type { IncomingCall } from "../execute/call.js";
import type { EncodedArgs } from "../objects/args.js";
import type { Submitter } from "../submit/submitter.js";

/** Who does not answer for so long is taken for one that moves. Milliseconds. */
const ANSWER_MS = 2_000;
/** Tasks that are asked about in one message. */
const AT_ONCE = 1_000;

export interface WaitStatesLinks {
  readonly process: ProcessId;
  readonly submitter: Submitter;
  channelTo(process: ProcessId, node: NodeId | undefined): Channel;
}

export class WaitStates {
  private readonly owners = new Set<(sequence: number) => WaitState | undefined>();
  private readonly runners = new Set<(task: TaskId) => WaitState | undefined>();

  constructor(private readonly links: WaitStatesLinks) {}

  serve(inbox: Endpoint): void {
    inbox.serve(Process.waitStates, ({ tasks, side }) => ({ states: this.of(tasks, side) }));
  }

  /** Adds those who know of submitted calls. */
  addOwner(find: (sequence: number) => WaitState | undefined): void {
    this.owners.add(find);
  }
  /** Adds those who know of what runs in this process. Returns how to take them out. */
  addRunner(find: (task: TaskId) => WaitState | undefined): () => void {
    this.runners.add(find);
    return () => this.runners.delete(find);
  }

  /** In the order of `tasks`. */
  of(tasks: readonly string[], side: WaitSide): WaitState[] {
    return tasks.map((task) => {
      const known = side === "owner" ? this.owned(task as TaskId) : this.run(task as TaskId);
      return known ?? { task, state: "moves" };
    });
  }

  /** The same of another process, or of this. Whoever can't be asked is taken for one that moves. */
  async ask(
    process: ProcessId,
    node: NodeId | undefined,
    tasks: readonly string[],
    side: WaitSide,
  ): Promise<WaitState[]> {
    if (process === this.links.process) return this.of(tasks, side);
    const states: WaitState[] = [];
    const channel = this.links.channelTo(process, node);
    try {
      for (let from = 0; from < tasks.length; from += AT_ONCE) {
        const some = tasks.slice(from, from + AT_ONCE);
        const answer = await channel.request(
          Process.waitStates,
          { tasks: some, side },
          { timeoutMs: ANSWER_MS },
        );
        states.push(...answer.states);
      }
      return states;
    } catch {
      return tasks.map((task) => ({ task, state: "moves" }));
    }
  }

  private owned(id: TaskId): WaitState | undefined {
    if (ownerOf(id) !== this.links.process) return undefined;
    const sequence = Number(id.slice(id.indexOf(".") + 1));
    const task = this.links.submitter.find(sequence);
    if (task !== undefined) {
      if (task.cancelled || task.timedOut) return undefined;
      if (task.phase === "waiting") return waitingForArguments(id, task.settings.definition.name, task.args);
      const { lease } = task;
      return task.phase === "sent" && lease !== undefined
        ? { task: id, state: "sent", at: { process: lease.worker, node: lease.node } }
        : undefined;
    }
    for (const find of this.owners) {
      const state = find(sequence);
      if (state !== undefined) return state;
    }
    return undefined;
  }

  private run(id: TaskId): WaitState | undefined {
    for (const find of this.runners) {
      const state = find(id);
      if (state !== undefined) return state;
    }
    return undefined;
  }
}

/** It is sent when all its arguments have values. */
export function waitingForArguments(task: TaskId, name: string, args: EncodedArgs): WaitState {
  const of: TaskId[] = [];
  for (const slot of args.slots ?? []) {
    if (slot.kind !== "object" || slot.entry.ready) continue;
    of.push(taskIdOf(slot.entry.owner, slot.entry.sequence));
  }
  return { task, state: "waits", name, waits: [{ needs: of.length, of }], version: 0 };
}

/** The call of that id among those that run here, by caller. */
export function findCall<C extends IncomingCall>(
  calls: Iterable<ReadonlyMap<number, C>>,
  task: TaskId,
): C | undefined {
  const sequence = Number(task.slice(task.indexOf(".") + 1));
  for (const ofCaller of calls) {
    const call = ofCaller.get(sequence);
    if (call?.taskId === task) return call;
  }
  return undefined;
}

/** What keeps a call that has begun from going on. */
export function runnerState(call: IncomingCall): WaitState {
  const { taskId: task, name, actor, keptBy: waits, waitVersion: version } = call;
  if (waits === undefined) return { task, state: "moves" };
  return {
    task,
    state: "waits",
    name,
    waits,
    version,
    ...(actor === undefined ? {} : { actor: actor.id }),
  };
}
