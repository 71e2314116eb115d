/** The smallest program: starts a cluster, runs one task and prints its result. */
import { get, init, remote, shutdown } from "stingray";

const answer = remote(function answer() {
  return 42;
});

await init();
process.stdout.write(`result ${await get(answer.remote())}\n`);
await shutdown();
