/** Finding, awaiting and ending actors. */
import {
  ACTOR_RULES,
  Agent,
  InvalidArgumentError,
  InvalidOptionError,
  TimeoutError,
  checkOptions,
  describe,
  optionBool,
  optionText,
  timerMs,
  type ActorOptions,
} from "@stingray/protocol";
import type { WaitOptions } from "@stingray/task";
import { WAIT_RULES, bounded, makingRoom } from "@stingray/task/internal";
import { ActorClients } from "./clients.js";
import { partsOf, type HandleParts } from "./handle.js";
import type { ActorHandle } from "./handle-types.js";
import { registerClass, type AnyClass } from "./metadata.js";
import { RemoteClassImpl, handleFor, type RemoteClass } from "./remote-class.js";

/**
 * Makes a remote class of `cls`, defined in `module` unless `@actor` has registered it.
 * @throws InvalidOptionError
 */
export function remoteClass<A extends unknown[], T extends object>(
  module: string,
  options: ActorOptions,
  cls: new (...args: A) => T,
): RemoteClass<A, T> {
  checkOptions(`remote(${cls.name})`, ACTOR_RULES, options);
  const info = registerClass(cls as unknown as AnyClass, module, {});
  return new RemoteClassImpl(info, { ...info.options, ...options }) as unknown as RemoteClass<A, T>;
}

/** Whether a function is a class, for `remote()`. */
export function isClass(value: unknown): boolean {
  return typeof value === "function" && /^class\b/.test(Function.prototype.toString.call(value));
}

/** @throws InvalidArgumentError for anything that is no handle of this process's cluster */
export function handleParts(handle: unknown, where: string): HandleParts {
  const parts = partsOf(handle);
  if (parts === undefined)
    throw new InvalidArgumentError(`${where} takes the handle of an actor, got ${describe(handle)}`);
  if (ActorClients.of(where) !== parts.clients)
    throw new InvalidArgumentError(
      `${where}: this handle of actor ${parts.client.className} is from before shutdown(); get a new one`,
    );
  return parts;
}

/**
 * The handle of the live actor of that name.
 *
 * @param options.namespace default: the job's own
 * @throws ActorNotFoundError; NotInitializedError; InvalidArgumentError; TimeoutError; the signal's reason
 */
export async function getActor<T = object>(
  name: string,
  options: WaitOptions & { namespace?: string | undefined } = {},
): Promise<ActorHandle<T>> {
  const clients = ActorClients.of("getActor()");
  checkOptions("getActor()", { ...WAIT_RULES, namespace: optionText }, options);
  if (typeof name !== "string" || name === "")
    throw new InvalidArgumentError(`getActor() takes the name of an actor, got ${describe(name)}`);
  const { home, job } = clients.processRuntime;
  const namespace = options.namespace ?? job.namespace;
  const find = async (): Promise<ActorHandle<T>> => {
    await clients.claims.of(namespace, name);
    return handleFor<T>(clients, await home.request(Agent.actorGet, { name, namespace }));
  };
  return waited(clients, find(), options, `getActor("${name}")`);
}

/**
 * Names of live actors, of one namespace (default: the job's own) or, with `allNamespaces` (default false), of all.
 *
 * @throws NotInitializedError; InvalidOptionError where both are given; TimeoutError; the signal's reason
 */
export async function listNamedActors(
  options: WaitOptions & { namespace?: string | undefined; allNamespaces?: boolean | undefined } = {},
): Promise<{ namespace: string; name: string }[]> {
  const clients = ActorClients.of("listNamedActors()");
  const rules = { ...WAIT_RULES, namespace: optionText, allNamespaces: optionBool };
  checkOptions("listNamedActors()", rules, options);
  if (options.namespace !== undefined && options.allNamespaces === true) {
    throw new InvalidOptionError("listNamedActors(): give namespace or allNamespaces, not both");
  }
  const { home, job } = clients.processRuntime;
  const ask = options.allNamespaces === true ? {} : { namespace: options.namespace ?? job.namespace };
  const list = async (): Promise<{ namespace: string; name: string }[]> => {
    await clients.claims.sent();
    return (await home.request(Agent.actorList, ask)).actors;
  };
  return waited(clients, list(), options, "listNamedActors()");
}

/** What an agent answers, within the limits that the user gave. The program lives on meanwhile. */
function waited<T>(
  clients: ActorClients,
  answer: Promise<T>,
  options: WaitOptions,
  what: string,
): Promise<T> {
  const late = (timeoutMs: number): Error =>
    new TimeoutError(`${what} had no answer after ${timeoutMs} ms; it may be called again`);
  return clients.processRuntime.during(makingRoom(bounded(answer, options, late)));
}

/**
 * Ends an actor at once. Its pending calls fail with ActorDiedError. Killing a dead actor is no error.
 *
 * @param options.restart lets `maxRestarts` bring it back; default false
 * @throws InvalidArgumentError for anything that is no handle; ConnectionError where no agent can be reached; TimeoutError
 * and the signal's reason: it is ended all the same, once that is possible
 */
export async function kill(
  handle: unknown,
  options: WaitOptions & { restart?: boolean | undefined } = {},
): Promise<void> {
  const { clients, client } = handleParts(handle, "kill()");
  checkOptions("kill()", { ...WAIT_RULES, restart: optionBool }, options);
  await waited(clients, clients.end(client, options.restart ?? false), options, "kill()");
}

/**
 * Resolves when the actor is alive: placed, and its constructor has run.
 * @throws ActorDiedError (or what else keeps it from living) with the reason; TimeoutError
 */
export async function ready(handle: unknown, options: WaitOptions = {}): Promise<void> {
  const parts = handleParts(handle, "ready()");
  checkOptions("ready()", WAIT_RULES, options);
  parts.use.check(parts.client.className);
  try {
    const wake = (): void => parts.clients.wake(parts.client);
    await parts.clients.processRuntime.during(makingRoom(untilReady(parts.client, wake, options)));
  } finally {
    keepAlive(parts);
  }
}

/**
 * Until this is called, what is given can't be garbage collected: an actor must not end for want of handles while
 * somebody waits for it.
 */
function keepAlive(parts: HandleParts): void {
  void parts;
}

/** How long after an actor was not made yet its host is asked again. Milliseconds. */
const ASK_AGAIN_MS = 250;

const isAlive = ({ state }: HandleParts["client"], epoch: number): boolean =>
  state.kind === "alive" && state.epoch === epoch;

function untilReady(
  client: HandleParts["client"],
  wakeUp: () => void,
  { signal, ...limit }: WaitOptions,
): Promise<void> {
  const timeoutMs = timerMs(limit.timeoutMs);
  let woken = -1;
  const wake = (epoch: number): void => {
    if (epoch === woken) return;
    woken = epoch;
    wakeUp();
  };
  return new Promise<void>((resolve, reject) => {
    let timer: NodeJS.Timeout | undefined;
    let again: NodeJS.Timeout | undefined;
    /** Of the incarnation that its host was asked about. */
    let asked = -1;
    const end = (settle: () => void): void => {
      clearTimeout(timer);
      clearTimeout(again);
      off();
      signal?.removeEventListener("abort", onAbort);
      settle();
    };
    const onAbort = (): void => end(() => reject(signal?.reason));
    const whenMade = (epoch: number): void => {
      if (!client.isMadeElsewhere) return end(resolve);
      if (asked === epoch) return;
      asked = epoch;
      client.made().then(
        (made) => {
          if (made && isAlive(client, epoch)) return end(resolve);
          // It has failed, which is about to be heard; or its host has yet to hear of it.
          asked = -1;
          again = setTimeout(look, ASK_AGAIN_MS);
        },
        () => (isAlive(client, epoch) ? end(resolve) : look()),
      );
    };
    const look = (): void => {
      const { state } = client;
      if (state.kind === "asleep") wake(state.epoch);
      if (state.kind === "alive") whenMade(state.epoch);
      else if (state.kind === "dead") end(() => reject(state.error));
    };
    const off = client.onChange(look);
    if (signal?.aborted === true) {
      onAbort();
      return;
    }
    signal?.addEventListener("abort", onAbort);
    if (timeoutMs !== undefined) {
      timer = setTimeout(
        () =>
          end(() =>
            reject(
              new TimeoutError(
                `actor ${client.className} (${client.id}) is not ready after ${timeoutMs} ms: it is ${describeState(client)}`,
              ),
            ),
          ),
        timeoutMs,
      );
    }
    look();
  });
}

function describeState(client: HandleParts["client"]): string {
  const { state, trouble } = client.current;
  if (state.kind === "waiting" && trouble.text !== undefined)
    return `${state.restarting ? "being restarted" : "being made"}, and ${trouble.text}`;
  if (state.kind === "leaving") return "moving to another node";
  if (state.kind === "asleep") return "asleep, and is being woken";
  if (state.kind !== "waiting") return state.kind === "claiming" ? "waiting for its arguments" : state.kind;
  const what = state.restarting ? "being restarted" : "waiting for resources or its constructor";
  return state.reason === undefined ? what : `${what}: ${state.reason}`;
}
