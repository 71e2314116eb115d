/** Where a worker keeps how it does, for its agent: in the directory of the node's store, which is the user's alone. */
import { join } from "node:path";

/** The page that it shares with its agent. */
export const vitalsPath = (storeDir: string, worker: string): string => join(storeDir, `${worker}.vitals`);

/** What Node writes when V8 gives up for want of memory. */
export const fatalReportName = (worker: string): string => `${worker}.fatal.json`;
