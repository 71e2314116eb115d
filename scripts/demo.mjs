// Sets up, runs the examples one after another, and checks that they leave nothing behind.
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { help, root, run, script, seconds, StepError } from "./lib/run.mjs";
import { marked, remains } from "./lib/remains.mjs";
import { setUp } from "./setup.mjs";

const EXAMPLES = ["hello-supervisor", "primes", "iris"];

help(`
npm run demo [-- names…]

Installs what is missing, builds, and runs the examples (${EXAMPLES.join(", ")}), each on an embedded cluster of its own.
Afterwards it reports whether any process, port or shared memory was left behind.
`);

function file(name) {
  const path = `${root}/examples/${name}.mjs`;
  if (existsSync(path)) return path;
  throw new StepError(`there is no example ${name} (${path}); there are: ${EXAMPLES.join(", ")}`);
}

await script(async () => {
  const names = process.argv.slice(2);
  const files = (names.length > 0 ? names : EXAMPLES).map(file);
  const { natsServer } = await setUp();
  const id = `demo-${process.pid}`;
  const dir = mkdtempSync(join(tmpdir(), "sd-")); // short: sockets lie below it
  process.once("exit", () => rmSync(dir, { recursive: true, force: true }));
  let failed = 0;
  for (const path of files) {
    const started = performance.now();
    process.stdout.write(`\n── ${path.slice(root.length + 1)}\n\n`);
    const code = await run(process.execPath, [path], {
      env: { STINGRAY_NATS_SERVER: natsServer.path, ...marked(id, dir) },
    });
    process.stdout.write(
      `\n── ${code === 0 ? "done" : `failed with exit code ${code}`} in ${seconds(started)}\n`,
    );
    if (code !== 0) failed++;
  }
  const left = await leftOf(id, dir);
  if (left.length === 0)
    process.stdout.write("\nNothing was left behind: no process, no port, no shared memory.\n");
  else process.stdout.write(`\nLeft behind:\n${left.map((line) => `  ${line}\n`).join("")}`);
  return failed > 0 || left.length > 0 ? 1 : 0;
});

/** What is left of the run; what is about to end gets two seconds. */
async function leftOf(id, dir) {
  const deadline = performance.now() + 2000;
  for (;;) {
    const left = remains(id, dir);
    if (left.length === 0 || performance.now() > deadline) return left;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
