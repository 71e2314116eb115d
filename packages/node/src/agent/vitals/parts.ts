/** How the parts that look after memory and event loops are put together; called by the composition root. */
import {
  Agent as AgentMethods,
  toError,
  type ExitReport,
  type MemoryEnd,
  type ProcessId,
} from "@stingray/protocol";
import { publishProcessNews, subscribeProcessNews } from "../../feed/mod.js";
import { feedHooks } from "../malformed.js";
import { systemTimers } from "../timers.js";
import * as t from "../tokens.js";
import { MemoryFiles } from "./memory-files.js";
import { MemoryGuard } from "./memory-guard.js";
import { vitalsSettings } from "./settings.js";
import { Troubles } from "./troubles.js";
import { watchedWorkers } from "./watched.js";
import { WorkerWatch, type WatchHooks } from "./watch.js";

/** Registers them. @param storeDir where workers keep how they do */
export function provideVitals(provide: t.Provide, get: t.Get, storeDir: string): void {
  const settings = vitalsSettings();
  const say = (worker: string, line: string): void => {
    const process = get(t.POOL).get(worker as ProcessId);
    if (process === undefined) return;
    const job = process.env?.job;
    if (job?.logToDriver === true) get(t.OUTPUTS).lines(job, process.pid, 2, "stingray", [line]);
    else get(t.CONFIG).log(`worker process ${process.pid}: ${line}`);
  };
  provide(t.TROUBLES, () => new Troubles(systemTimers));
  provide(t.MEMORY_GUARD, (of) => {
    return new MemoryGuard(settings, {
      users: () =>
        watchedWorkers(get).map(({ id, declared, kind, since }) => {
          return { worker: id, memory: of(t.WORKER_WATCH).memoryOf(id), declared, kind, since };
        }),
      end: (worker, why) => endForMemory(get, worker, why),
      say,
      now: () => performance.now(),
    });
  });
  provide(t.WORKER_WATCH, (of) => {
    const { node, subjects } = of(t.CONFIG);
    const files = new MemoryFiles(undefined, settings.meminfo);
    const hooks: WatchHooks = {
      workers: () => watchedWorkers(get),
      tell: (news) => {
        get(t.TROUBLES).told(news);
        publishProcessNews(get(t.BROKER), subjects, news);
      },
      say,
      looked: (machine) => get(t.MEMORY_GUARD).looked(machine),
    };
    return new WorkerWatch(node, storeDir, settings.everyMs, hooks, files);
  });
}

function endForMemory(get: t.Get, worker: string, why: MemoryEnd): void {
  const process = get(t.POOL).get(worker as ProcessId);
  if (process === undefined || !process.usable) return;
  process.memoryEnd = why;
  process.kill("memory");
}

/** Begins to look, and to hear what others see. Gives what ends it. */
export function startVitals(get: t.Get): () => void {
  const { node, subjects } = get(t.CONFIG);
  const troubles = get(t.TROUBLES);
  const watch = get(t.WORKER_WATCH);
  troubles.onChange(({ process, actors }) => get(t.ACTOR_WATCHERS).troubled(process, actors));
  const feed = subscribeProcessNews(
    get(t.BROKER),
    subjects,
    (news) => {
      if (news.node !== node) troubles.told(news);
    },
    feedHooks("process news", get(t.MALFORMED), get(t.FAILED)),
  );
  watch.start();
  get(t.TRANSPORT).inbox.serve(AgentMethods.nodeVitals, ({ limit }) => watch.vitals(limit));
  return () => {
    watch.stop();
    troubles.stop();
    feed.stop();
  };
}

/** What is to be added to the report of a worker's end; nothing where that can't be known. */
export function exitFacts(get: t.Get, worker: string, report: ExitReport): Partial<ExitReport> {
  try {
    return get(t.WORKER_WATCH).exited(worker, report);
  } catch (error) {
    get(t.FAILED)(`look what worker ${worker} left behind`, toError(error));
    return {};
  }
}
