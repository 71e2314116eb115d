// Sets up and runs the benchmarks; arguments go to them.
import { root, run, script } from "./lib/run.mjs";
import { setUp } from "./setup.mjs";

await script(async () => {
  const { natsServer } = await setUp({ log: (line) => process.stderr.write(`${line}\n`) });
  return run(process.execPath, [`${root}/bench/dist/src/main.js`, ...process.argv.slice(2)], {
    cwd: process.cwd(),
    env: { STINGRAY_NATS_SERVER: natsServer.path },
  });
});
