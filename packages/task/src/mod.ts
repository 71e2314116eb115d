/** Remote functions, references and the worker's side of running them. */
export { put } from "./put.js";
export { get } from "./get.js";
export { wait, asCompleted } from "./wait.js";
export { cancel } from "./cancel.js";
export { context } from "./context.js";
export { ObjectRef, isObjectRef } from "./objects/object-ref.js";
export { ObjectRefStream, isObjectRefStream } from "./stream.js";
export { getPlacementGroup, listPlacementGroups, placementGroup } from "./groups/api.js";
export { PlacementGroup } from "./groups/placement-group.js";
export { remoteFunction } from "./remote-function.js";
export { callerModule } from "./registry.js";
export type { PutOptions } from "./put.js";
export type { Values } from "./get.js";
export type { PlacementGroupInfo } from "./groups/api.js";
export type { WaitOptions } from "./wait-options.js";
export type { Context } from "./context.js";
export type { CannotBeSent } from "./sendable.js";
export type {
  RemoteArg,
  RemoteArgs,
  RemoteFunction,
  RemoteResult,
  RemoteResults,
} from "./remote-function.js";
