/** Where a request goes that is bound to a placement group: to one of its bundles, wherever that is. */
import { UnschedulableError, type NodeId, type SchedulingSpec } from "@stingray/protocol";
import type { Ask } from "./ask.js";
import { Resources } from "./amounts.js";
import type { Route } from "./router.js";
import type { Bid, ClusterView } from "./view.js";

/**
 * What is known here of a placement group. `unknown`: nothing yet. `pending`: not placed, and why. `placed`: the node
 * of each bundle by index, empty text for one that was lost and has none at the moment.
 */
export type GroupPlacement =
  | { readonly kind: "unknown" }
  | { readonly kind: "pending"; readonly reason: string }
  | { readonly kind: "removed"; readonly reason: string }
  | {
      readonly kind: "placed";
      readonly nodes: readonly string[];
      readonly bundles: readonly Readonly<Record<string, number>>[];
    };

export type GroupLookup = (group: string) => GroupPlacement;
/** The part of a request's `scheduling` that names a group. */
export type InGroup = Extract<SchedulingSpec, { kind: "group" }>;

/** The bundles that could hold the request if nothing else ran in them, or why there is none, now or ever. */
export type GroupTarget =
  | { readonly kind: "bundles"; readonly nodes: readonly NodeId[]; readonly waiting: string | undefined }
  | { readonly kind: "wait"; readonly reason: string }
  | { readonly kind: "unknown" }
  | { readonly kind: "fail"; readonly error: UnschedulableError };

/** Looks for the bundles that `where` names and `need` fits into. `what` is for people: who asks. */
export function groupTarget(where: InGroup, need: Resources, what: string, lookup: GroupLookup): GroupTarget {
  const { group, bundle } = where;
  const fail = (why: string): GroupTarget => ({
    kind: "fail",
    error: new UnschedulableError(`${what} is bound to placement group ${group}, which ${why}`, {
      detail: { group },
    }),
  });
  const known = lookup(group);
  if (known.kind === "unknown") return known;
  if (known.kind === "removed") return fail(`${known.reason}; make a new group`);
  if (known.kind === "pending") {
    return { kind: "wait", reason: `placement group ${group} has no place yet: ${known.reason}` };
  }
  const indices = bundle < 0 ? known.bundles.map((_, i) => i) : [bundle];
  if (bundle >= known.bundles.length) return fail(`has no bundle ${bundle}, only ${known.bundles.length}`);
  const able = indices.filter((i) => Resources.from(known.bundles[i] ?? {}).fits(need));
  if (able.length === 0) {
    const sizes = indices.map((i) => `${i}: { ${Resources.from(known.bundles[i] ?? {}).toString()} }`);
    return fail(
      `can never hold { ${need.toString()} }: its bundles are ${sizes.join(", ")}; ask for less, or make a group with larger bundles`,
    );
  }
  const nodes = new Set(able.flatMap((i) => (known.nodes[i] ? [known.nodes[i] as NodeId] : [])));
  const lost = able.filter((i) => !known.nodes[i]);
  const waiting =
    lost.length > 0
      ? `bundle ${lost.join(", ")} of group ${group} was lost and is being placed anew`
      : undefined;
  return { kind: "bundles", nodes: [...nodes], waiting };
}

/** What the routing of groups needs of the router. */
export interface GroupRouteParts {
  readonly node: NodeId;
  readonly view: ClusterView;
  readonly groups: GroupLookup;
  /** How long a group that nobody has heard of is waited for, in milliseconds. */
  readonly unknownMs: number;
  local(ask: Ask): Extract<Route, { to: "here" | "wait" }>;
  waited(ask: Ask): number;
  isRefused(ask: Ask, bid: Bid): boolean;
  /** Asks one of these although they refused, now and then. */
  knock(ask: Ask, nodes: readonly Bid[]): Route | undefined;
}

/** A bundle here first, then those elsewhere that have not refused since their last bid. */
export function routeInGroup(ask: Ask, where: InGroup, p: GroupRouteParts): Route {
  const wait = (reason: string, why: Ask["waitsFor"] = "resources"): Route => ({
    to: "wait",
    for: why,
    reason,
  });
  const target = groupTarget(where, ask.need, "the request", p.groups);
  if (target.kind === "fail") return { to: "fail", error: target.error };
  if (target.kind === "wait") return wait(target.reason);
  if (target.kind === "unknown") {
    if (p.waited(ask) < p.unknownMs) return wait(`nothing was heard of placement group ${where.group} yet`);
    return {
      to: "fail",
      error: new UnschedulableError(
        `the request is bound to placement group ${where.group}, which is not known in this cluster: it was removed, or its job is over; make a new group`,
        { detail: { group: where.group } },
      ),
    };
  }
  let reason = target.waiting;
  let why: Ask["waitsFor"] = "resources";
  if (target.nodes.includes(p.node)) {
    const here = p.local(ask);
    if (here.to === "here") return here;
    reason = here.reason;
    // Whatever bundle it goes to, this node can make room for a worker.
    if (here.for === "workers") why = here.for;
  }
  const others = target.nodes.flatMap((node) =>
    node === p.node ? [] : (p.view.get(node) ?? p.view.guess(node) ?? []),
  );
  const next = others.find((bid) => !p.isRefused(ask, bid));
  if (next !== undefined) return { to: "node", node: next.node, agent: next.agent };
  const knock = p.knock(ask, others);
  if (knock !== undefined) return knock;
  return wait(reason ?? `the bundles of placement group ${where.group} that it fits into are in use`, why);
}
