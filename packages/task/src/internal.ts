/** For the packages above this one; not for users. */
export { processState, runtimeFor } from "./process-state.js";
export { Runtime } from "./runtime.js";
export type { WaitStates } from "./why/wait-states.js";
export { Executor } from "./execute/executor.js";
export { IncomingCall } from "./execute/call.js";
export { marked, marks } from "./vitals/marks.js";
export { PAGE_BYTES, monotonicMs, readPage } from "./vitals/page.js";
export { VitalsWriter } from "./vitals/writer.js";
export type { PageView } from "./vitals/page.js";
export type { CallMarks } from "./vitals/marks.js";
export { CallRunner } from "./execute/runner.js";
export { taskError } from "./execute/task-error.js";
export { currentExecution, runIn } from "./context.js";
export {
  LOAD_SETTING,
  define,
  findDefinition,
  findLoaded,
  initReached,
  loadTimeoutMs,
  moduleOnWire,
  moduleUrl,
  preload,
} from "./registry.js";
export { UTIL_MODULE, ownModuleUrl } from "./own-modules.js";
export { Fifo } from "./fifo.js";
export { Gate } from "./gate.js";
export { markPath, removeMark, setMark } from "./submit/cancel-mark.js";
export { StreamState } from "./stream.js";
export { makingRoom } from "./ready.js";
export { bounded } from "./bounded.js";
export { WAIT_RULES } from "./wait-options.js";
export { stateOf } from "./objects/state.js";
export { decodeThrown, encodeThrown } from "./objects/thrown.js";
export { backoffMs, shouldRetry } from "./submit/retry.js";
export { adviceText } from "./submit/wait-text.js";
export { progressOf } from "./why/running.js";
export { findCall, runnerState, waitingForArguments } from "./why/wait-states.js";
export { lastWords } from "./submit/last-words.js";
export { missingOf } from "./why/task-why.js";
export type { CallExplainer } from "./why/explainer.js";
export { openLocalStore } from "./local-store.js";
export type { RuntimeOptions } from "./runtime.js";
export type { Answers, CallHost } from "./execute/call.js";
export type { Body } from "./execute/runner.js";
export type { ActorExecution, ActorReminders, Execution } from "./context.js";
export type { RemoteDefinition, Constructor, DefinitionKey } from "./registry.js";
export type { ObjectEntry } from "./objects/entry.js";
export type { ObjectTable } from "./objects/table.js";
export type { EncodedArgs } from "./objects/args.js";
export type { LocalStore } from "./objects/local-store.js";
export type { Values as ValueAccess, DecodeContext } from "./objects/values.js";
export type { WaitingCall } from "./submit/calls.js";
export type { Home, HomeAddress, FindHome } from "./home.js";
