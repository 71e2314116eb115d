/** A job for tests that start workers and nothing else. */
import type { JobSpec } from "@stingray/protocol";

export const jobSpecOf = (job: string, o: Partial<JobSpec> = {}): JobSpec => ({
  job,
  driver: "d",
  pid: 1,
  hostname: "h",
  entry: "/e.js",
  root: "/",
  namespace: "n",
  runtimeEnv: {},
  execArgv: [],
  logToDriver: true,
  ...o,
});
