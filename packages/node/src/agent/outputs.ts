/** What workers print, on its way to the driver of their job. */
import { Op, type JobSpec, type NodeId, type ProcessId } from "@stingray/protocol";
import type { StreamNumber } from "../logs/mod.js";
import type { Peers } from "./peers.js";

export class Outputs {
  constructor(
    private readonly peers: Peers,
    private readonly isOver: (job: string) => boolean,
  ) {}

  lines(job: JobSpec | undefined, pid: number, stream: StreamNumber, name: string, lines: string[]): void {
    if (job === undefined || !job.logToDriver) return;
    // A driver that has gone must not be looked for once per line.
    if (this.isOver(job.job) && !this.ending.has(job.job)) return;
    this.peers
      .channel(job.driver as ProcessId, job.driverNode as NodeId | undefined)
      .send([Op.Logs, job.job, pid, name, stream, lines]);
  }

  /** While a job ends its last lines still go to the driver. */
  private readonly ending = new Set<string>();

  endBegins(job: string): void {
    this.ending.add(job);
  }
  endDone(spec: JobSpec | undefined, job: string): void {
    this.ending.delete(job);
    if (spec?.logToDriver === true) {
      this.peers.channel(spec.driver as ProcessId, spec.driverNode as NodeId | undefined).flush();
    }
  }
}
