/** Ids, subjects, messages, error codes and options: types and pure functions only. */
export {
  newDriverId,
  newWorkerId,
  newAgentId,
  newNodeId,
  newJobId,
  newActorId,
  newGroupId,
  newSecret,
  taskIdOf,
  objectIdOf,
  ownerOf,
  taskOf,
  isProcessId,
  isAgentId,
  isDriverId,
  isObjectId,
  isTaskId,
  isNodeId,
  isJobId,
  isActorId,
  isGroupId,
} from "./ids.js";
export type { ProcessId, NodeId, JobId, ActorId, TaskId, ObjectId, GroupId } from "./ids.js";
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
  PendingCallsLimitError,
  StaleEpochError,
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
  ERROR_CLASSES,
  errorTexts,
  toError,
} from "./errors.js";
export type { ErrorName, ErrorDetail, StingrayErrorOptions } from "./errors.js";
export {
  PROTOCOL_VERSION,
  DEFAULT_SUBJECT_ROOT,
  DEFAULT_CLUSTER,
  TABLES,
  Subjects,
  SCHEDULERS,
  encodeToken,
  decodeToken,
} from "./subjects.js";
export type { TableName, EndpointId } from "./subjects.js";
export {
  MAX_TEXT,
  text,
  uint,
  finite,
  resourceAmounts,
  MAX_AMOUNT,
  MAX_MEMORY_BYTES,
  number,
  bool,
  bytes,
  unknown,
  optional,
  oneOf,
  shape,
  list,
  tuple,
  record,
  mapOf,
} from "./check.js";
export type { Check, Checked } from "./check.js";
export { Op } from "./messages/op.js";
export { ValueKind, valueDesc } from "./messages/values.js";
export type { ValueDesc, Location } from "./messages/values.js";
export {
  taskDefine,
  taskRun,
  taskStarted,
  taskCancel,
  taskTakeBack,
  taskConsumed,
  TaskStatus,
  taskDone,
  taskYield,
  actorCall,
} from "./messages/tasks.js";
export type {
  TaskDefine,
  TaskRun,
  TaskRunOptions,
  TaskStarted,
  TaskCancel,
  TaskTakeBack,
  TaskConsumed,
  TaskDone,
  TaskYield,
  ActorCall,
} from "./messages/tasks.js";
export {
  objectGet,
  objectBorrow,
  objectRelease,
  objectValue,
  objectCopied,
  storeSealed,
  storeFree,
  storeDone,
  storeReturn,
  storeAbandoned,
  storeDamaged,
} from "./messages/objects.js";
export {
  STORE_STATES,
  copyList,
  dataAddress,
  processMemory,
  storeFigures,
  storeListing,
  storeRoom,
  storeSpan,
  storeWanted,
} from "./messages/store.js";
export type {
  DataAddress,
  HeldObject,
  ProcessMemory,
  StoredObject,
  StoreFigures,
  StoreListing,
  StoreRoom,
  StoreSpan,
  StoreState,
  StoreWanted,
} from "./messages/store.js";
export type { ObjectValue } from "./messages/objects.js";
export {
  runtimeEnvSpec,
  shapeSpec,
  leaseDemand,
  leaseReturn,
  leaseGrant,
  leaseRevoke,
  leaseLost,
  leaseFailed,
  leasePending,
  leaseComing,
  PENDING_NOTICES,
} from "./messages/leases.js";
export type {
  Shape,
  RuntimeEnvSpec,
  SchedulingSpec,
  LeaseDemand,
  LeaseGrant,
  LeaseLost,
  PendingNotice,
} from "./messages/leases.js";
export {
  workerAssign,
  workerExit,
  workerBlocked,
  workerUnblocked,
  workerRetired,
  logs,
} from "./messages/workers.js";
export type { WorkerAssign, Logs } from "./messages/workers.js";
export { ACTOR_STATES, actorView, actorState, actorExited } from "./messages/actors.js";
export type { ActorStateName, ActorView, ActorExited } from "./messages/actors.js";
export type { WaitPart, WaitSide, WaitState } from "./messages/waits-for.js";
export {
  MAX_CALL_ID,
  RETRY_ID,
  UNORDERED,
  MAX_KEPT_CALLS,
  keptAnswer,
  keptAside,
  keptBatch,
  keptCall,
  mailboxCancel,
  mailboxFeed,
  mailboxTaken,
  setAsideCall,
} from "./messages/mailbox.js";
export type {
  KeptAnswer,
  KeptAside,
  KeptBatch,
  KeptCall,
  MailboxCancel,
  MailboxFeed,
  MailboxTaken,
  SetAsideCall,
} from "./messages/mailbox.js";
export { Mailbox } from "./methods-mailbox.js";
export { TASK_PHASES, processWhy } from "./messages/why.js";
export type {
  MissingArgument,
  ProcessWhy,
  RunningWhy,
  TaskPhaseName,
  TaskWhy,
  WaitingTasks,
} from "./messages/why.js";
export { agentWaits, agentWhy } from "./messages/why-agent.js";
export type { ActorWhy, AgentWaits, AgentWhy, Attempted, DemandWhy, NodeFit } from "./messages/why-agent.js";
export { describeTask } from "./why-text.js";
export {
  GROUP_STATES,
  GROUP_STRATEGIES,
  MAX_BUNDLES,
  bundleList,
  bundleReservation,
  groupSpec,
  groupView,
} from "./messages/groups.js";
export type {
  BundleReservation,
  GroupSpec,
  GroupStateName,
  GroupStrategy,
  GroupView,
} from "./messages/groups.js";
export { bidSpec, leaseAsk, leaseAnswer, roomNews } from "./messages/bids.js";
export type { BidSpec, LeaseAsk, LeaseAnswer, PassedOn, RoomNews } from "./messages/bids.js";
export { actorListing } from "./messages/actor-listing.js";
export type { ActorLine, ActorListing } from "./messages/actor-listing.js";
export { MEMORY_ENDS, exitReport, memoryEnd } from "./messages/exits.js";
export type { ExitReport, MemoryEnd, MemoryEndKind } from "./messages/exits.js";
export { actorTrouble, nodeVitals, processNews, workerVitals } from "./messages/vitals.js";
export type { ActorTrouble, NodeVitals, ProcessNews, TroubleKind, WorkerVitals } from "./messages/vitals.js";
export { describeMemoryEnd, memoryDetail } from "./memory-text.js";
export { describeTrouble } from "./trouble-text.js";
export { wireErrorCheck } from "./messages/wire-error.js";
export type { WireError } from "./messages/wire-error.js";
export { jobSpec, actorSpec, keepsState, nodeView, pendingDemand } from "./specs.js";
export type { JobSpec, ActorSpec, MethodSpec, NodeView, PendingDemand } from "./specs.js";
export type { DrainDone, DrainLeft, DrainView } from "./messages/drain.js";
export { OUT_OF_SCOPE, DRAINING, Agent, Bids, Worker, Owner, Join } from "./methods.js";
export { Process } from "./process-methods.js";
export { SharedActors, SharedCalls, SharedHosts } from "./shared-methods.js";
export { Sleep } from "./sleep-methods.js";
export { SpecTemplates, ownSpec } from "./spec-templates.js";
export type { OwnSpec } from "./spec-templates.js";
export { Clock, Reminders } from "./methods-reminder.js";
export type { ReminderTiming } from "./methods-reminder.js";
export { REMINDER_RULES } from "./reminders.js";
export type {
  AnyActor,
  LooseReminder,
  Reminder,
  ReminderCall,
  ReminderTime,
  ReminderView,
} from "./reminders.js";
export { MAX_STATE } from "./state-methods.js";
export type { Method } from "./method.js";
export { encodeError, decodeError, decodeCause, decodeWireError } from "./wire-errors.js";
export { describeResources, describeShape, startOptions } from "./shape-text.js";
export {
  amount,
  gpuAmount,
  optionText,
  optionBool,
  wholeNumber,
  positiveWhole,
  timerMs,
  count,
  positiveCount,
  milliseconds,
  finiteNumber,
  amounts,
  texts,
  textList,
  textOrList,
  abortSignal,
  choice,
  mapOfRule,
  nested,
  checkOptions,
  describe,
  nearestOf,
  nameForMessages,
} from "./option-check.js";
export type { OptionRule, OptionRules } from "./option-check.js";
export {
  RUNTIME_ENV_RULES,
  TASK_RULES,
  ACTOR_RULES,
  GROUP_RULES,
  BUNDLE_RULES,
  METHOD_RULES,
  CALL_RULES,
  DEFAULT_TASK_CPUS,
  DEFAULT_MAX_RETRIES,
  resourceMap,
  shapeOf,
  schedulingSpec,
  countOnWire,
  countFromWire,
} from "./options.js";
export type {
  Resources,
  PlacementGroupHandle,
  PlacementGroupOptions,
  Scheduling,
  LabelSelector,
  RuntimeEnv,
  ErrorClass,
  RetryOn,
  TaskOptions,
  ActorOptions,
  MethodOptions,
  CallOptions,
} from "./options.js";
