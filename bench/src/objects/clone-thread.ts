/** The other side of a structured clone: answers with what it read, or sends the bytes back. */
import { parentPort } from "node:worker_threads";
import { readStamp, stamp } from "../data.js";

/** What the thread is asked: a seed has it send the bytes back with that stamp. */
export interface CloneRequest {
  data: Uint8Array;
  backWith?: number | undefined;
}

parentPort?.on("message", ({ data, backWith }: CloneRequest) => {
  if (backWith === undefined) parentPort?.postMessage(readStamp(data), []);
  else {
    stamp(data, backWith);
    parentPort?.postMessage(data, []);
  }
});
