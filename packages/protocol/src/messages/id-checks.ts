/** Checkers of ids, for all messages. */
import { shape } from "../check.js";
import { isActorId, isGroupId, isJobId, isNodeId, isObjectId, isProcessId, isTaskId } from "../ids.js";

export const processId = shape(isProcessId, "a process id");
export const nodeId = shape(isNodeId, "a node id");
export const jobId = shape(isJobId, "a job id");
export const actorId = shape(isActorId, "an actor id");
export const taskId = shape(isTaskId, "a task id");
export const groupId = shape(isGroupId, "a group id");
export const objectId = shape(isObjectId, "an object id");
