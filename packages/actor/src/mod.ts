/** Actors: decorators, handles, finding and ending them. */
export { actor, method } from "./metadata.js";
export { getActor, isClass, kill, listNamedActors, ready, remoteClass } from "./api.js";
export { cancelReminder, listReminders, setReminder } from "./reminders.js";
export { callsSetAside, dropCall, retryCall } from "./durable/aside-api.js";
export type { CallSetAside } from "./durable/aside-api.js";
export { isActorHandle } from "./handle.js";
export type { ActorHandle, ActorMethod, OverloadedActorMethod } from "./handle-types.js";
export type { AnyClass, MethodDecorator } from "./metadata.js";
export type { RemoteClass } from "./remote-class.js";
