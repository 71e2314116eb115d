/** How many light actors a node holds, how fast they come and go, and what memory they take. */
import { get, init, kill, ready, shutdown, type ActorHandle } from "stingray";
import { memoryByProcess, type ProcessMemory } from "./memory.js";
import { LightTally, type Tally } from "./tally.js";

export interface DensityOptions {
  /** Actors at the same time. */
  readonly actors: number;
  /** CPUs of the node. @defaultValue 2 */
  readonly cpus?: number | undefined;
  /** As in `init()`. @defaultValue "auto" */
  readonly links?: "auto" | "nats" | undefined;
  /** Called with a line for each step. @defaultValue none */
  readonly progress?: ((line: string) => void) | undefined;
}

export interface DensityResult {
  /** Those that were ready. */
  readonly actors: number;
  /** From the first `.remote()` to the last `ready()`: per second. */
  readonly createdPerS: number;
  /** One call of each, all at once: per second. */
  readonly callsPerS: number;
  /** Actors that answered with what they should. */
  readonly right: number;
  /** From the end of the last handle to the end of the program's cluster. Milliseconds. */
  readonly shutdownMs: number;
  /** Kills, one after another's request: per second. */
  readonly killedPerS: number;
  /** With all actors alive and called. */
  readonly memory: readonly ProcessMemory[];
  /** Their sum. Bytes. */
  readonly residentBytes: number;
}

/** Kills that are measured. */
const KILLS = 1_000;

/** Runs it on an embedded cluster of its own. */
export async function density({
  actors,
  cpus = 2,
  links = "auto",
  progress = () => {},
}: DensityOptions): Promise<DensityResult> {
  await init({ cpus, links });
  try {
    await ready(LightTally.remote(0)); // the first host process is up
    const begun = performance.now();
    const handles: ActorHandle<Tally>[] = [];
    for (let i = 0; i < actors; i++) {
      handles.push(LightTally.remote(i));
      // The program has other things to do, too: answers come in between.
      if (i % 1_000 === 999) await new Promise((turn) => setImmediate(turn));
    }
    await Promise.all(handles.map((handle) => ready(handle, { timeoutMs: 120_000 })));
    const createdPerS = (actors / (performance.now() - begun)) * 1000;
    progress(`${actors} actors created, ${Math.round(createdPerS)}/s`);
    for (const { name, cpuMs } of memoryByProcess()) progress(`${name}: ${cpuMs} ms on a CPU`);
    const calling = performance.now();
    const answers = await get(handles.map((handle) => handle.add.remote(1)));
    const callsPerS = (actors / (performance.now() - calling)) * 1000;
    const right = answers.filter((n, i) => n === i + 1).length;
    progress(`${right} called, ${Math.round(callsPerS)}/s`);
    const memory = memoryByProcess();
    const residentBytes = memory.reduce((sum, { bytes }) => sum + bytes, 0);
    for (const { name, bytes } of memory) progress(`${name}: ${Math.round(bytes / 2 ** 20)} MiB`);
    progress(`in all: ${Math.round(residentBytes / 2 ** 20)} MiB`);
    const killing = performance.now();
    const killed = handles.splice(0, KILLS);
    await Promise.all(killed.map((handle) => kill(handle)));
    const killedPerS = (killed.length / (performance.now() - killing)) * 1000;
    progress(`${killed.length} killed, ${Math.round(killedPerS)}/s`);
    const leaving = performance.now();
    await shutdown();
    const shutdownMs = performance.now() - leaving;
    progress(`ended in ${Math.round(shutdownMs)} ms`);
    return { actors, createdPerS, callsPerS, right, shutdownMs, killedPerS, memory, residentBytes };
  } finally {
    await shutdown();
  }
}
