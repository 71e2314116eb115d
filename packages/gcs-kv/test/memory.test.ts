import { MemoryControlStore } from "../src/mod.js";
import { conformance } from "./conformance.js";

describe("control store in memory", function () {
  this.timeout(10_000);
  conformance({
    open: async () => new MemoryControlStore(),
    // In memory the store itself is what is shared; closing it twice is no error.
    join: async (store) => ({
      table: (name) => store.table(name),
      lease: (...args) => store.lease(...args),
      cleanUpJob: (job) => store.cleanUpJob(job),
      close: async () => {},
      [Symbol.asyncDispose]: async () => {},
    }),
  });
});
