/** For the packages above this one; not for users. */
export { ActorHost } from "./host.js";
export { partsOf, registerHandles } from "./handle.js";
export { currentCall } from "./caller.js";
export type { Caller, CurrentCall } from "./caller.js";
export { countDelayed, delayedUnderway } from "./durable/delayed.js";
export { actorIdOf, isReachable } from "./handle.js";
