/** The old place of what is in `stingray/testing` now. */
import { testCluster, type TestCluster as Test } from "stingray/testing";
export { eventually } from "./eventually.js";
export { isRunning, rejection, collectGarbage } from "stingray/testing";
export { linesOf } from "./lines.js";
export type TestCluster = Test;
export const TestCluster = { start: testCluster };
