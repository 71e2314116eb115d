// What CI runs: format check, lint, build, tests. Ends with the tests' last line.
import { help, must, root, run, script, seconds, tool } from "./lib/run.mjs";
import { setUp } from "./setup.mjs";

help(
  "npm run verify\n\nSets up, checks format and lint, and runs all tests. The last line is: N passed, N failed[, N skipped].",
);

async function step(name, action) {
  const started = performance.now();
  process.stdout.write(`\n== ${name}\n`);
  await action();
  process.stdout.write(`== ${name}: ${seconds(started)}\n`);
}

await script(async () => {
  try {
    await step("set up", () => setUp());
    await step("format", () =>
      must("the format check (mend it with npm run format)", process.execPath, [
        tool("prettier/bin/prettier.cjs"),
        "--check",
        ".",
      ]),
    );
    await step("lint", () => must("the lint", process.execPath, [tool("oxlint/bin/oxlint"), "--type-aware"]));
  } catch (error) {
    process.stderr.write(`${error.message}\n`);
    process.stdout.write("\n0 passed, 1 failed\n");
    return 1;
  }
  process.stdout.write("\n== test\n");
  return run(process.execPath, [`${root}/scripts/test.mjs`]);
});
