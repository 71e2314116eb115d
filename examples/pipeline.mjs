// A pipeline with backpressure: one task fetches, two parse, an actor pool scores; a semaphore limits who is at the
// "service" at a time. Run it: node examples/pipeline.mjs
import { get, init, ready, remote, shutdown } from "stingray";
import { ActorPool, Queue, Semaphore } from "stingray/util";

const PAGES = 24;

const fetchPages = remote(async function fetchPages(pages, service) {
  for (let i = 0; i < PAGES; i++) {
    const permit = await service.acquire();
    await pages.put({ id: i, text: "lorem ipsum ".repeat(1 + (i % 5)) }); // waits while the queue is full
    await permit.release();
  }
  await pages.close();
});

const parse = remote(async function parse(pages, words) {
  let parsed = 0;
  for await (const { id, text } of pages) {
    await words.put({ id, words: text.trim().split(/\s+/) });
    parsed++;
  }
  return parsed;
});

class Scorer {
  score({ id, words }) {
    return { id, score: words.length, by: process.pid };
  }
}
const RemoteScorer = remote(Scorer);

await init();
const scorers = [RemoteScorer.remote(), RemoteScorer.remote()];
await Promise.all(scorers.map((scorer) => ready(scorer)));
const pool = new ActorPool(scorers);
const pages = new Queue({ maxSize: 4 });
const words = new Queue({ maxSize: 4 });
const service = new Semaphore(1);
const fetching = fetchPages.remote(pages, service);
const parsing = [parse.remote(pages, words), parse.remote(pages, words)];
const done = get(parsing).then(async (counts) => {
  await words.close();
  return counts;
});
let total = 0;
const by = new Set();
for await (const result of pool.mapUnordered((scorer, page) => scorer.score.remote(page), words)) {
  total += result.score;
  by.add(result.by);
}
await get(fetching);
const counts = await done;
console.log(
  `${counts.reduce((a, b) => a + b)} pages parsed by 2 tasks, ${total} words scored by ${by.size} actors`,
);
await shutdown();
