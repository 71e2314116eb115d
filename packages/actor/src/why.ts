/** What callers know of their calls of actors: why they have not ended. */
import {
  taskIdOf,
  type ProcessId,
  type TaskWhy,
  type WaitState,
  type WaitingTasks,
} from "@stingray/protocol";
import { missingOf, waitingForArguments, type CallExplainer, type Runtime } from "@stingray/task/internal";
import type { ActorCallState } from "./call.js";
import type { ActorClient } from "./client.js";

/** Method names beyond these are left out. */
const MOST_NAMES = 10;

/** Explains the calls of all actors that this process knows. */
export function explainCalls(runtime: Runtime, clients: () => Iterable<ActorClient>): CallExplainer {
  return {
    why(sequence) {
      for (const client of clients()) {
        const call = client.calls.find(sequence);
        if (call !== undefined) return whyOfCall(runtime, client, call);
      }
      return undefined;
    },
    waits() {
      const waits: WaitingTasks[] = [];
      for (const client of clients()) {
        const group = waitingCallsOf(runtime.process, client);
        if (group !== undefined) waits.push(group);
      }
      return waits;
    },
  };
}

function whyOfCall(runtime: Runtime, client: ActorClient, call: ActorCallState): TaskWhy {
  const now = performance.now();
  const { state, channel } = client.current;
  const reason = reasonOf(client);
  const why: TaskWhy = {
    task: taskIdOf(runtime.process, call.sequence),
    name: `${client.className}.${call.method}`,
    phase: call.phase,
    phaseMs: now - call.since,
    ...(call.delayMs === undefined ? {} : { delayMs: call.delayMs }),
    attempt: call.attempt + 1,
    attempts: Number.isFinite(call.maxRetries) ? call.maxRetries + 1 : -1,
    failures: call.failures.map(({ at, message }) => ({ agoMs: now - at, message })),
    actor: {
      actor: client.id,
      className: client.className,
      state: state.kind,
      ...(reason === undefined ? {} : { reason }),
    },
  };
  if (call.phase === "queued" && !call.argumentsReady) {
    why.phase = "waiting";
    why.missing = missingOf(call.args, runtime.submitter);
  }
  const peer = channel?.peer;
  if (call.phase === "sent" && peer?.process !== undefined && peer.node !== undefined)
    why.at = { process: peer.process, node: peer.node, ahead: client.calls.sentBefore(call) };
  return why;
}

/** What keeps a call of this process from being sent or answered. */
export function ownedState(runtime: Runtime, client: ActorClient, call: ActorCallState): WaitState {
  const task = taskIdOf(runtime.process, call.sequence);
  const { channel } = client.current;
  const { process, node } = channel?.peer ?? {};
  if (call.cancelled) return { task, state: "moves" };
  if (call.phase === "sent" && process !== undefined) return { task, state: "sent", at: { process, node } };
  // Those behind a call that waits for its arguments keep their order.
  const [first] = client.calls.unsent();
  if (call.phase !== "queued" || first === undefined || first.argumentsReady) return { task, state: "moves" };
  return waitingForArguments(task, `${client.className}.${call.method}`, first.args);
}

/** Why it does not answer, as far as that is known. */
function reasonOf(client: ActorClient): string | undefined {
  const { trouble, waitReason, className, id, state } = client.current;
  if (trouble.text !== undefined) return `actor ${className} (${id}) ${trouble.text}`;
  if (state.kind === "waiting" && waitReason === undefined)
    return `actor ${className} (${id}) is ${state.restarting ? "being restarted" : "being made: it waits for a process or its constructor"}`;
  return waitReason;
}

/** Those that were not sent yet, in one group. */
function waitingCallsOf(process: ProcessId, client: ActorClient): WaitingTasks | undefined {
  const [first, ...others] = client.calls.unsent();
  if (first === undefined) return undefined;
  const names = new Set([first, ...others].map(({ method }) => `${client.className}.${method}`));
  const { state } = client.current;
  const reason =
    state.kind === "alive"
      ? first.argumentsReady
        ? undefined
        : `its first call waits for its arguments`
      : `actor ${client.className} (${client.id}) is ${state.kind}`;
  return {
    phase: first.argumentsReady ? "queued" : "waiting",
    count: others.length + 1,
    names: [...names].slice(0, MOST_NAMES),
    example: taskIdOf(process, first.sequence),
    ms: performance.now() - first.since,
    ...(reason === undefined ? {} : { reason }),
  };
}
