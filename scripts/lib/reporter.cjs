// Mocha's spec report, and after it one line that programs can read: `N passed, N failed[, N skipped]`.
// In a file where the caller asks for one, so that nothing that is printed later can come after it.
const { writeFileSync } = require("node:fs");
const { reporters } = require("mocha");

/** Time for the process to end by itself after the last test, in milliseconds. */
const LINGER_MS = 10_000;

module.exports = class SummaryReporter extends reporters.Spec {
  constructor(runner, options) {
    super(runner, options);
    runner.once("end", () => {
      const { passes, failures, pending } = this.stats;
      const file = options.reporterOptions?.summary;
      if (file) writeFileSync(file, JSON.stringify({ passed: passes, failed: failures, skipped: pending }));
      // A test that left something open would keep the run alive for ever; it fails instead, and says what it is.
      setTimeout(() => {
        const open = process.getActiveResourcesInfo().join(", ");
        process.stderr.write(`The tests are done, but the process does not end: still open are ${open}\n`);
        process.exit(1);
      }, LINGER_MS).unref();
    });
  }
};
