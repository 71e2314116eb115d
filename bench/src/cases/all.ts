import { actorCases } from "./actors.js";
import type { Case } from "./case.js";
import { objectCases } from "./objects.js";
import { taskCases } from "./tasks.js";

/** Every case that runs in a cluster, in Ray's order as far as it is Ray's. */
export const allCases: readonly Case[] = [...objectCases, ...taskCases, ...actorCases];
