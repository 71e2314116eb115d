/** Remote functions, references and the worker's side of running them. */
export { put, get, wait, asCompleted, cancel } from "./get.js";
export { context } from "./context.js";
export { ObjectRef, isObjectRef } from "./objects/object-ref.js";
export { ObjectRefStream, isObjectRefStream } from "./stream.js";
export { remoteFunction } from "./remote-function.js";
export { callerModule } from "./registry.js";
export type { WaitOptions, Values } from "./get.js";
export type { Context } from "./context.js";
export type {
  RemoteArg,
  RemoteArgs,
  RemoteFunction,
  RemoteResult,
  RemoteResults,
} from "./remote-function.js";
