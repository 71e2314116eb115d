/**
 * Resource classes: what the capability subjects are named by. Agents hear calls for a class only while they own it and
 * have some of it free, so a request for a scarce resource never comes to a node without it.
 */
import type { Shape } from "@stingray/protocol";
import { toUnits } from "./amounts.js";

/** The label that says which GPUs a node has. */
export const ACCELERATOR_TYPE = "accelerator-type";

const CPU = "cpu";
const GPU = "gpu";

/** The class of a type of GPU. */
const gpuOf = (type: string): string => `${GPU}:${type}`;
/** The class of a custom resource. */
const custom = (name: string): string => `r:${name}`;
/** No class: every node has it. */
const isCommon = (name: string): boolean => name === "CPU" || name === "memory";

/**
 * The classes of a node that has so much of each resource, in the user's units, with what is free of each class. What
 * it has none of is no class of it. A label `accelerator-type` names the class of its GPUs besides `gpu`.
 */
export function classesOf(
  total: Record<string, number>,
  labels: Record<string, string>,
  available: Record<string, number> = total,
): Map<string, number> {
  const classes = new Map<string, number>();
  for (const [name, amount] of Object.entries(total)) {
    if (!(amount > 0) || name === "memory") continue;
    const free = Math.max(0, available[name] ?? 0);
    if (name === "CPU") classes.set(CPU, free);
    else if (name !== "GPU") classes.set(custom(name), free);
    else {
      classes.set(GPU, free);
      const type = labels[ACCELERATOR_TYPE];
      if (type !== undefined && type !== "") classes.set(gpuOf(type), free);
    }
  }
  return classes;
}

/** The scarce classes that a request needs; `cpu` where there is nothing scarce in it. */
export function classesNeeded(shape: Shape): string[] {
  const scarce: string[] = [];
  for (const [name, amount] of Object.entries(shape.resources)) {
    if (isCommon(name) || toUnits(name, amount) === 0) continue;
    scarce.push(name === "GPU" ? gpuClass(shape) : custom(name));
  }
  return scarce.length === 0 ? [CPU] : scarce;
}

/**
 * The one class whose nodes own all that a request needs; undefined where no single subject can reach just those: it
 * needs several scarce classes, is bound to labels, to a node or to a placement group.
 */
export function callClass(shape: Shape): string | undefined {
  const kind = shape.scheduling?.kind;
  if (kind === "node" || kind === "group") return undefined;
  const [first, ...more] = classesNeeded(shape);
  if (first === undefined || more.length > 0) return undefined;
  const labels = Object.keys(shape.labels ?? {});
  const inClass = first.startsWith(`${GPU}:`) ? [ACCELERATOR_TYPE] : [];
  return labels.every((label) => inClass.includes(label)) ? first : undefined;
}

/** A selector that names exactly one type of GPU is a class of its own. */
function gpuClass(shape: Shape): string {
  const selector = shape.labels?.[ACCELERATOR_TYPE]?.trim();
  return selector === undefined || !/^[^!(),\s]+$/.test(selector) ? GPU : gpuOf(selector);
}
