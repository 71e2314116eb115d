/** What an agent does when a process or a node is gone, however it learned of it. */
import type { Transport } from "@stingray/broker";
import type { LeaseScheduler } from "@stingray/scheduler";
import {
  ConnectionError,
  WorkerCrashedError,
  isDriverId,
  type ExitReport,
  type NodeId,
  type ProcessId,
} from "@stingray/protocol";
import type { Death } from "../feed/mod.js";
import { describeExit } from "../pool/start-error.js";
import type { Peers } from "./peers.js";

export interface DeathHooks {
  publish(death: Death): void;
  /** Ends what the process had created and is not detached. */
  creatorGone(process: ProcessId, reason: string): void;
  /** The process may have been a driver. */
  driverGone(process: ProcessId, reason: string): void;
  /** Nobody decides about the objects of the process any more. */
  ownerGone(process: ProcessId): void;
  nodeRemoved(node: NodeId): void;
}

export class Deaths {
  constructor(
    private readonly own: { node: NodeId; agent: ProcessId },
    private readonly transport: Transport,
    private readonly peers: Peers,
    private readonly scheduler: () => LeaseScheduler,
    private readonly hooks: DeathHooks,
  ) {}

  /** A worker of this node ended: whoever waits for it should know at once. */
  workerExited(worker: ProcessId, report: ExitReport): void {
    const reason = `worker process ${report.pid} ended: ${describeExit(report)}`;
    this.transport.peerDied(
      worker,
      new WorkerCrashedError(reason, {
        detail: {
          pid: report.pid,
          exitCode: report.exitCode ?? null,
          signal: report.signal ?? null,
          stderr: report.stderr,
        },
      }),
    );
    this.scheduler().workerExited(worker, report);
    this.scheduler().submitterGone(worker);
    this.hooks.creatorGone(worker, reason);
    this.hooks.ownerGone(worker);
    this.peers.forget(worker);
    this.hooks.publish({ kind: "process", id: worker, reason });
  }

  /** Somebody else's word. */
  told(death: Death): void {
    if (death.kind === "node") {
      if (death.id !== this.own.node) this.nodeGone(death.id, death.reason);
      return;
    }
    // Of our own workers the exit of the process tells, and more than the feed could.
    if (death.id === this.own.agent || this.peers.nodeOf(death.id) === this.own.node) return;
    this.processGone(death.id, death.reason);
  }

  nodeGone(node: NodeId, reason: string): void {
    this.hooks.nodeRemoved(node);
    for (const process of this.peers.on(node)) {
      // A driver may outlive its node's agent and turn to us. That it is gone, its channel tells.
      if (isDriverId(process)) this.peers.forget(process);
      else this.processGone(process, `its node ${node} is dead: ${reason}`);
    }
  }

  /** The channel to a process broke for good. */
  channelClosed(process: ProcessId, reason: string): void {
    this.scheduler().submitterGone(process);
    this.hooks.driverGone(process, reason);
    if (this.peers.nodeOf(process) !== this.own.node) this.peers.forget(process);
  }

  private processGone(process: ProcessId, reason: string): void {
    this.transport.peerDied(process, new ConnectionError(`process ${process} is gone: ${reason}`));
    this.scheduler().submitterGone(process);
    this.hooks.driverGone(process, reason);
    this.hooks.ownerGone(process);
    this.peers.forget(process);
  }
}
