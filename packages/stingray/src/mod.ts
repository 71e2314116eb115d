/** Tasks, actors and objects for TypeScript on NATS. */
export { init, isInitialized, shutdown } from "./init.js";
export { remote } from "./remote.js";
export {
  actor,
  cancelReminder,
  getActor,
  isActorHandle,
  kill,
  listNamedActors,
  listReminders,
  method,
  ready,
  setReminder,
} from "@stingray/actor";
export { callsSetAside, dropCall, retryCall } from "@stingray/actor";
export type { CallSetAside } from "@stingray/actor";
export {
  put,
  get,
  wait,
  asCompleted,
  cancel,
  context,
  ObjectRef,
  ObjectRefStream,
  isObjectRef,
  PlacementGroup,
  getPlacementGroup,
  listPlacementGroups,
  placementGroup,
} from "@stingray/task";
export { registerSerializer } from "@stingray/objectstore";
export type { SerializerCodec } from "@stingray/objectstore";
export type { BrokerAuth, BrokerTls } from "@stingray/broker/connect";
export { nodes, clusterResources, availableResources, setResource, Cluster } from "./cluster.js";
export { inject } from "./inject.js";
export {
  ErrorCode,
  StingrayError,
  NotInitializedError,
  InvalidArgumentError,
  InvalidOptionError,
  TimeoutError,
  GetTimeoutError,
  TaskTimeoutError,
  ActorNotFoundError,
  GroupNotFoundError,
  QueueFullError,
  QueueEmptyError,
  QueueClosedError,
  TaskError,
  TaskCancelledError,
  WorkerCrashedError,
  OutOfMemoryError,
  ActorDiedError,
  ActorUnavailableError,
  StaleEpochError,
  PendingCallsLimitError,
  DeadlockError,
  ObjectLostError,
  ObjectStoreFullError,
  SerializationError,
  FunctionNotFoundError,
  UnschedulableError,
  RuntimeEnvError,
  NameTakenError,
  ConnectionError,
  AuthError,
  ProtocolError,
} from "@stingray/protocol";
export type { InitOptions, NodeOptions } from "./init-options.js";
export type { ActorHandle, ActorMethod, OverloadedActorMethod, RemoteClass } from "@stingray/actor";
export type {
  CannotBeSent,
  Context,
  RemoteArg,
  RemoteArgs,
  RemoteFunction,
  RemoteResult,
  RemoteResults,
  Values,
  PlacementGroupInfo,
  PutOptions,
  WaitOptions,
} from "@stingray/task";
export type {
  ActorOptions,
  CallOptions,
  ErrorClass,
  ErrorDetail,
  LabelSelector,
  MethodOptions,
  NodeView,
  PendingDemand,
  PlacementGroupHandle,
  PlacementGroupOptions,
  Reminder,
  ReminderCall,
  ReminderTime,
  ReminderView,
  Resources,
  RetryOn,
  RuntimeEnv,
  Scheduling,
  TaskOptions,
} from "@stingray/protocol";
