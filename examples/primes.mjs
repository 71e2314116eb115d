// The same work eight times, first one after another in this process, then as eight tasks side by side.
//
//   node examples/primes.mjs

import { availableParallelism } from "node:os";
import { get, init, remote, shutdown } from "stingray";

const LIMIT = 2_000_000;
const TIMES = 8;

// Trial division by every number, on purpose: a sieve would be done before there is anything to share out.
function sumOfPrimes(limit) {
  let sum = 0;
  for (let n = 2; n < limit; n++) {
    let isPrime = true;
    for (let d = 2; isPrime && d * d <= n; d++) isPrime = n % d !== 0;
    if (isPrime) sum += n;
  }
  return sum;
}

const remoteSum = remote(sumOfPrimes);

async function timed(work) {
  const start = performance.now();
  const sums = await work();
  return { sums, seconds: (performance.now() - start) / 1000 };
}

await init();

const sequential = await timed(() => Array.from({ length: TIMES }, () => sumOfPrimes(LIMIT)));

// The time of the tasks contains all that it takes to run them, the start of the worker processes too.
const parallel = await timed(() => get(Array.from({ length: TIMES }, () => remoteSum.remote(LIMIT))));

const different = new Set([...sequential.sums, ...parallel.sums]);
if (different.size !== 1) throw new Error(`the sums differ: ${[...different].join(", ")}`);

console.log(`sum of the primes below ${LIMIT}: ${parallel.sums[0]}`);
console.log(`sequential, ${TIMES} times:      ${sequential.seconds.toFixed(2)} s`);
console.log(`parallel, ${TIMES} tasks:        ${parallel.seconds.toFixed(2)} s`);
const speedUp = sequential.seconds / parallel.seconds;
console.log(`speed-up: ${speedUp.toFixed(2)} on ${availableParallelism()} CPUs`);

await shutdown();
