/** What keeps a call from going on, as the actor sees that runs it. */
import type { WaitState } from "@stingray/protocol";
import { runnerState } from "@stingray/task/internal";
import type { ActivationCall } from "../activation-call.js";

export function callState(call: ActivationCall): WaitState {
  if (call.taken) return runnerState(call);
  const { taskId: task, name, activation } = call;
  const held = activation.heldUp(call);
  if (held === undefined || call.cancelled) return { task, state: "moves" };
  const of = held.holders.map(({ taskId }) => taskId);
  return { task, state: "queued", name, actor: activation.self.id, waits: [{ needs: held.needs, of }] };
}
