/** For the packages above this one; not for users. */
export { ActorHost } from "./host.js";
export { partsOf, registerHandles } from "./handle.js";
