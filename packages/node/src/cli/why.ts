/** `stingray why`: why a task or an actor has not ended, or, without one, what waits at all. */
import { Agent, InvalidOptionError, isActorId, isGroupId, isObjectId, isTaskId } from "@stingray/protocol";
import { askNodes } from "./ask-nodes.js";
import { findClusters, type ClusterFlags, type FoundCluster } from "./cluster-state.js";
import type { Output } from "./output.js";
import { describeWaits, type ClusterWaits } from "./waits-text.js";
import { describeTrace } from "./why-text.js";
import { isKnown, traceWhy, type WhyTrace } from "./why-trace.js";

export interface WhyFlags extends ClusterFlags {
  json?: boolean;
}

/**
 * @param about a task, an object, an actor or a placement group; undefined: all that waits
 * @returns the exit code: 1 where nobody knows what was asked about
 * @throws ConnectionError where nothing runs or nothing answers; InvalidOptionError for what is no id
 */
export async function showWhy(
  about: string | undefined,
  flags: WhyFlags,
  runtimeDir: string,
  out: Output,
): Promise<number> {
  if (about !== undefined && ![isTaskId, isObjectId, isActorId, isGroupId].some((is) => is(about))) {
    throw new InvalidOptionError(
      `"${about}" is no id of a task (d….17), an object (d….17.0: ObjectRef.id), an actor (a…) or a placement group (b…); ` +
        `stingray why without one shows what waits`,
    );
  }
  const found = await findClusters(flags, runtimeDir, out);
  return about === undefined ? showAll(found, flags, out) : showOne(about, found, flags, out);
}

async function showOne(about: string, found: FoundCluster[], flags: WhyFlags, out: Output): Promise<number> {
  const traces: { cluster: string; trace: WhyTrace }[] = [];
  for (const one of found) {
    const trace = await traceWhy(about, (id, process) =>
      askNodes(one, flags, Agent.why, { about: id, ...(process === undefined ? {} : { process }) }),
    );
    traces.push({ cluster: one.cluster, trace });
  }
  const isAnswer = ({ trace }: { trace: WhyTrace }): boolean =>
    trace.steps[0] !== undefined && isKnown(trace.steps[0]);
  const best = traces.find(isAnswer) ?? traces[0];
  if (best === undefined) return 1;
  if (flags.json === true) out.say(JSON.stringify({ cluster: best.cluster, ...best.trace }, undefined, 2));
  else out.say(describeTrace(best.trace));
  return isAnswer(best) ? 0 : 1;
}

async function showAll(found: FoundCluster[], flags: WhyFlags, out: Output): Promise<number> {
  const clusters = await Promise.all(
    found.map(async (one): Promise<ClusterWaits> => {
      const answers = await askNodes(one, flags, Agent.waits, {});
      const { cluster, servers } = one;
      return { cluster, servers, nodes: answers };
    }),
  );
  if (flags.json === true) out.say(JSON.stringify({ clusters }, undefined, 2));
  else out.say(clusters.map(describeWaits).join("\n\n"));
  return clusters.some(({ nodes }) => nodes.some(({ kind }) => kind === "answered")) ? 0 : 1;
}
