/** Runs the density workload by itself: `node bench/dist/src/density/main.js [actors]`. */
import { density } from "./density.js";

await density({
  actors: Number(process.argv[2] ?? 100_000),
  progress: (line) => void process.stderr.write(`${line}\n`),
});
