/** Writing down that a node is there, for drivers and the command line of this machine. */
import type { AgentReady } from "./embedded/agent-process.js";
import { processStartTime } from "./process-info.js";
import { clusterIdOf, writeNodeFile, type NodeFile } from "./runtime-files.js";

export interface Announcement {
  ready: AgentReady;
  /** Of the agent. */
  pid: number;
  cluster: string;
  subjectRoot: string;
  /** URLs without credentials. */
  servers: readonly string[];
  startedBy: NodeFile["startedBy"];
  logFile?: string | undefined;
  drainMs?: number | undefined;
}

/** Writes the file of a node whose agent this process started and will end. */
export async function announceNode(runtimeDir: string, a: Announcement): Promise<void> {
  const { node, agent, socketDir, secret, storeDir } = a.ready;
  await writeNodeFile(runtimeDir, {
    node,
    agent,
    pid: a.pid,
    startTime: processStartTime(a.pid) ?? "",
    cluster: a.cluster,
    clusterId: clusterIdOf(a.servers, a.subjectRoot, a.cluster),
    subjectRoot: a.subjectRoot,
    socketDir,
    secret,
    storeDir,
    broker: { servers: [...a.servers] },
    startedBy: a.startedBy,
    launcher: { pid: process.pid, startTime: processStartTime(process.pid) ?? "" },
    logFile: a.logFile,
    drainMs: a.drainMs,
  });
}
