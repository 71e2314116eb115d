// The first ten lines: a remote function, an actor, and `get`.
//
//   node examples/counter.mjs

import { get, init, remote, shutdown } from "stingray";

const square = remote(function square(x) {
  return x * x;
});

class Counter {
  constructor(n = 0) {
    this.n = n;
  }

  add(by) {
    this.n += by;
    return this.n;
  }
}
const RemoteCounter = remote(Counter);

await init();

const squares = [1, 2, 3, 4].map((x) => square.remote(x)); // four references at once; the tasks run meanwhile
console.log(`squares: ${(await get(squares)).join(" ")}`);

const counter = RemoteCounter.remote(10); // an object with state, in a process of its own
for (const ref of squares) counter.add.remote(ref); // a reference arrives as its value
console.log(`counter: ${await get(counter.add.remote(0))}`);

await shutdown();
