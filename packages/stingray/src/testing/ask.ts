/** What the kit asks of agents, over the driver's own channels. */
import {
  Agent,
  InvalidArgumentError,
  taskIdOf,
  type ActorId,
  type NodeId,
  type ProcessId,
} from "@stingray/protocol";
import { partsOf } from "@stingray/actor/internal";
import { runtimeFor } from "@stingray/task/internal";
import { nodes } from "../cluster.js";
import { eventually } from "@stingray/protocol/testing";
import { isRunning } from "./processes.js";

const ASK_MS = 10_000;

/** Where an actor lives. */
export interface ActorPlace {
  readonly actor: ActorId;
  readonly process: ProcessId;
  readonly node: NodeId;
  readonly pid: number;
  /** For messages. */
  readonly name: string;
}

/**
 * The process that hosts an actor, as soon as there is one.
 * @throws InvalidArgumentError for what is no handle; Error where it is not alive within 15 s
 */
export async function placeOf(handle: unknown): Promise<ActorPlace> {
  const parts = partsOf(handle);
  if (parts === undefined) throw new InvalidArgumentError("processOf() takes the handle of an actor");
  const { id, className } = parts.client.current;
  const name = `actor ${className} (${id})`;
  const { home } = runtimeFor("processOf()");
  return eventually(
    async () => {
      const { actor } = await home.request(Agent.why, { about: id }, { timeoutMs: ASK_MS });
      const { node, process, state } = actor ?? {};
      if (state !== "ALIVE" || node === undefined || process === undefined)
        throw new Error(state === undefined ? "nobody knows it" : `it is ${state}`);
      const pid = await pidOf(process as ProcessId, node as NodeId);
      // Its end is told a moment after it.
      if (!isRunning(pid)) throw new Error(`its process ${pid} has ended`);
      return { actor: id, process: process as ProcessId, node: node as NodeId, pid, name };
    },
    { message: `a process that hosts ${name}` },
  );
}

/** Its agent knows it, also where the process itself answers nobody. */
async function pidOf(process: ProcessId, node: NodeId): Promise<number> {
  const runtime = runtimeFor("processOf()");
  const view = (await nodes()).find((one) => one.node === node);
  if (view === undefined) throw new Error(`its node ${node} is not there`);
  const channel = runtime.channelTo(view.agent as ProcessId, node);
  const about = taskIdOf(process, 0);
  const { process: known } = await channel.request(Agent.why, { about, process }, { timeoutMs: ASK_MS });
  if (known?.pid === undefined) throw new Error(`its agent knows no process ${process}`);
  return known.pid;
}
