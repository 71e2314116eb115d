// Sets up, runs the tests, and ends with the line `N passed, N failed[, N skipped]`.
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { isAbsolute, join, relative, resolve } from "node:path";
import { help, root, run, script, tool } from "./lib/run.mjs";
import { setUp } from "./setup.mjs";

help(`
npm test [-- [--coverage] [--grep <text>] [--bail] [files…]]

Installs what is missing, builds, and runs the tests of all packages, the integration tests and those of the benchmarks.
  files…         test sources (packages/broker/test/server.test.ts) or compiled files; patterns are allowed
  --coverage     also measure coverage (report in coverage/)
  --grep <text>  only tests whose title has the text
  --bail         stop at the first failure
The last line of output is: N passed, N failed[, N skipped]. The exit code is 0 when nothing failed.
`);

const ALL = [
  "packages/*/dist/test/**/*.test.js",
  "integration/dist/**/*.test.js",
  "bench/dist/test/**/*.test.js",
];

/** A test source as the compiled file that it becomes. */
function compiled(file) {
  const path = relative(root, isAbsolute(file) ? file : resolve(process.cwd(), file));
  const match = /^((?:packages\/[^/]+|integration|bench))\/((?:test|src)\/.*)\.ts$/.exec(path);
  return match ? `${match[1]}/dist/${match[2]}.js` : path;
}

function parse(args) {
  const options = { coverage: false, files: [], mocha: [] };
  for (let i = 0; i < args.length; i++) {
    const arg = args[i];
    if (arg === "--coverage") options.coverage = true;
    else if (arg === "--grep" || arg === "-g") options.mocha.push("--grep", args[++i] ?? "");
    else if (arg.startsWith("-")) options.mocha.push(arg);
    else options.files.push(compiled(arg));
  }
  return options;
}

function summary({ passed, failed, skipped }) {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`;
}

async function main() {
  const options = parse(process.argv.slice(2));
  const dir = mkdtempSync(join(tmpdir(), "stingray-test-"));
  process.once("exit", () => rmSync(dir, { recursive: true, force: true }));
  // Also when set-up fails there is a last line, and it does not say that all is well.
  let result = { passed: 0, failed: 1, skipped: 0 };
  let code = 1;
  try {
    const { natsServer } = await setUp();
    const file = join(dir, "summary.json");
    const mocha = [
      tool("mocha/bin/mocha.js"),
      "--enable-source-maps",
      "--reporter",
      join(root, "scripts/lib/reporter.cjs"),
      "--reporter-option",
      `summary=${file}`,
      ...options.mocha,
      ...(options.files.length > 0 ? options.files : ALL),
    ];
    const c8 = [tool("c8/bin/c8.js"), "--reporter=text-summary", "--reporter=lcov", process.execPath];
    code = await run(process.execPath, options.coverage ? [...c8, ...mocha] : mocha, {
      env: { STINGRAY_NATS_SERVER: natsServer.path },
    });
    if (existsSync(file)) result = JSON.parse(readFileSync(file, "utf8"));
    // A run that was cut short, or that failed outside of any test, is not a success.
    if (code !== 0 && result.failed === 0) result.failed = 1;
  } catch (error) {
    process.stderr.write(`${error?.name === "StepError" ? error.message : (error?.stack ?? error)}\n`);
  } finally {
    process.stdout.write(`\n${summary(result)}\n`);
  }
  return result.failed > 0 ? 1 : code;
}

await script(main);
