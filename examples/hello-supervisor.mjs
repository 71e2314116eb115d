// Actors that make actors: a supervisor starts three greeters, hands them names and collects their greetings.
// Every actor is a process of its own, which is why each greeting carries another process id.
//
//   node examples/hello-supervisor.mjs

import { get, init, remote, shutdown } from "stingray";

class Greeter {
  constructor(name) {
    this.name = name;
    this.greeted = 0;
  }

  greet(whom) {
    this.greeted += 1;
    return { text: `Hello ${whom}, this is ${this.name} (greeting ${this.greeted})`, pid: process.pid };
  }
}

class Supervisor {
  constructor(workers) {
    this.workers = Array.from({ length: workers }, (_, i) => RemoteGreeter.remote(`greeter ${i + 1}`));
  }

  // Each call returns a reference at once, so the greeters work side by side; `get` waits for all of them.
  async greetAll(names) {
    const greetings = names.map((name, i) => this.workers[i % this.workers.length].greet.remote(name));
    return { pid: process.pid, greetings: await get(greetings) };
  }
}

const RemoteGreeter = remote(Greeter);
const RemoteSupervisor = remote(Supervisor);

await init();

const supervisor = RemoteSupervisor.remote(3);
const report = await get(supervisor.greetAll.remote(["Ada", "Grace", "Barbara", "Edsger", "Tony", "Leslie"]));

console.log(`driver     pid ${process.pid}`);
console.log(`supervisor pid ${report.pid}`);
for (const { text, pid } of report.greetings) console.log(`worker     pid ${pid}: ${text}`);

const pids = new Set([process.pid, report.pid, ...report.greetings.map((greeting) => greeting.pid)]);
console.log(`${report.greetings.length} greetings from ${pids.size} processes`);

await shutdown();
