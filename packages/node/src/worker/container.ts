/** The composition root of a worker: what it is made of, by token, each made once when first asked for. */
import "reflect-metadata";
import { Transport } from "@stingray/broker";
import { Subjects } from "@stingray/protocol";
import { Executor, Runtime, openLocalStore, type LocalStore } from "@stingray/task/internal";
import {
  container as root,
  instanceCachingFactory,
  type DependencyContainer,
  type InjectionToken,
} from "tsyringe";
import type { WorkerConfig } from "../worker-config.js";
import { enterLease } from "./lease-environment.js";

export const CONFIG: InjectionToken<WorkerConfig> = Symbol("WorkerConfig");
export const TRANSPORT: InjectionToken<Transport> = Symbol("Transport");
export const STORE: InjectionToken<LocalStore> = Symbol("LocalStore");
export const RUNTIME: InjectionToken<Runtime> = Symbol("Runtime");
export const EXECUTOR: InjectionToken<Executor> = Symbol("Executor");
/** What user code sees as `context().container`. */
export const USER_CONTAINER: InjectionToken<DependencyContainer> = Symbol("UserContainer");

/** @param onLost the agent is gone */
export async function composeWorker(
  config: WorkerConfig,
  onLost: (reason: Error) => void,
): Promise<DependencyContainer> {
  const c = root.createChildContainer();
  const [transport, store] = await Promise.all([
    Transport.create({
      process: config.worker,
      node: config.node,
      subjects: new Subjects(config.subjectRoot, config.cluster),
      socketDir: config.socketDir,
      secret: config.secret,
      links: config.links,
    }),
    openLocalStore(config.storeDir),
  ]);
  c.registerInstance(CONFIG, config);
  c.registerInstance(TRANSPORT, transport);
  c.registerInstance(STORE, store);
  c.register(USER_CONTAINER, { useFactory: instanceCachingFactory(() => root.createChildContainer()) });
  c.register(RUNTIME, {
    useFactory: instanceCachingFactory((d) =>
      Runtime.start({
        transport: d.resolve(TRANSPORT),
        process: config.worker,
        node: config.node,
        home: { agent: config.agent, node: config.node },
        job: undefined,
        store: d.resolve(STORE),
        markDir: config.socketDir,
        warn: (message) => void process.stderr.write(`stingray: ${message}\n`),
        container: () => d.resolve(USER_CONTAINER),
        onLost,
      }),
    ),
  });
  c.register(EXECUTOR, {
    useFactory: instanceCachingFactory((d) => {
      const runtime = d.resolve(RUNTIME);
      const executor = new Executor({
        runner: runtime.runner,
        socketDir: config.socketDir,
        job: () => runtime.job,
        home: () => runtime.home,
        cancelChildren: (task) => void runtime.submitter.cancelChildren(task),
        enter: enterLease,
      });
      runtime.explainer.addRunner((task) => executor.progressOf(task));
      runtime.waitStates.addRunner((task) => executor.waitState(task));
      return executor;
    }),
  });
  return c;
}
