/** The handle of an actor: a value that may be passed to tasks and other actors, with a `.remote()` per method. */
import { WIRE, registerWireType } from "@stingray/objectstore";
import {
  CALL_RULES,
  InvalidArgumentError,
  ProtocolError,
  checkOptions,
  countFromWire,
  countOnWire,
  isActorId,
  isNodeId,
  isObjectId,
  nameForMessages,
  taskIdOf,
  timerMs,
  type ActorId,
  type CallOptions,
  type MethodSpec,
  type RetryOn,
  type TaskRunOptions,
} from "@stingray/protocol";
import { ObjectRefStream, type ObjectRef } from "@stingray/task";
import { StreamState, type ObjectEntry } from "@stingray/task/internal";
import { ActorCallState } from "./call.js";
import type { ActorClient } from "./client.js";
import { madeDelayed } from "./durable/delayed.js";
import { ActorClients, settledClaim } from "./clients.js";
import type { ActorHandle } from "./handle-types.js";
import { HandleUse } from "./handle-use.js";
import type { ActorIdentity } from "./identity.js";
import { otherMethods } from "./metadata.js";

const ACTOR_TAG = "actor";
const INTERNAL = Symbol.for("stingray.actor.handle");

/** What a handle is made of. */
export interface HandleParts {
  readonly clients: ActorClients;
  readonly client: ActorClient;
  readonly methods: Readonly<Record<string, MethodSpec>>;
  readonly maxTaskRetries: number;
  /** Options of methods that can't travel, where the class is at hand. */
  readonly retryOn?: ((method: string) => RetryOn | undefined) | undefined;
  /** The reference whose holders keep the actor alive. Set once it is known; absent for detached actors. */
  hold: ObjectRef | undefined;
  readonly use: HandleUse;
}

/** The parts of a handle; undefined for anything else. */
export function partsOf(value: unknown): HandleParts | undefined {
  return typeof value === "object" && value !== null
    ? (value as { [INTERNAL]?: HandleParts })[INTERNAL]
    : undefined;
}

/** Whether a value is the handle of an actor (of this or another copy of the package). */
export function isActorHandle(value: unknown): boolean {
  return partsOf(value) !== undefined;
}

/** Which actor a handle is of, as far as that is known; undefined for anything else. */
export function actorIdOf(handle: unknown): ActorId | undefined {
  return partsOf(handle)?.client.current.id;
}

/** Whether calls are sent to the actor now, and not kept until it lives. */
export function isReachable(handle: unknown): boolean {
  return partsOf(handle)?.client.current.takesCalls ?? false;
}

class HandleTarget {
  static {
    nameForMessages(this, "ActorHandle");
  }

  readonly [INTERNAL]: HandleParts;
  #methods: Map<string, ActorMethodImpl> | undefined;

  constructor(parts: HandleParts) {
    this[INTERNAL] = parts;
  }

  method(name: string): ActorMethodImpl {
    this.#methods ??= new Map();
    let method = this.#methods.get(name);
    if (method === undefined)
      this.#methods.set(name, (method = new ActorMethodImpl(this[INTERNAL], name, {})));
    return method;
  }

  toString(): string {
    const { client } = this[INTERNAL];
    return `ActorHandle(${client.className}, ${client.id})`;
  }

  [Symbol.toPrimitive](): string {
    return HandleTarget.prototype.toString.call(this);
  }

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return HandleTarget.prototype.toString.call(this);
  }

  /** Once the calls that were made with this handle have ended, it lets go of the actor, which ends with its last handle. */
  async [Symbol.asyncDispose](): Promise<void> {
    const parts = this[INTERNAL];
    const { clients, client, use } = parts;
    const release = (): void => parts.hold?.release();
    const letGo = (): void => {
      if (client.state.kind === "claiming") void settledClaim(client).then(release);
      else release();
    };
    const disposed = use.dispose(client).then(letGo);
    // Where the wait is ended, because the call that waits is cancelled or out of time, that happens later.
    await use.waitFor(disposed, clients, client);
  }

  [WIRE](): { tag: string; data: unknown; refs: string[] } {
    const { client, methods, maxTaskRetries, hold, use } = this[INTERNAL];
    use.check(client.className);
    const node = hold?.entry.ownerNode;
    const limit = countOnWire(client.maxPendingCalls);
    const fields = [client.id, client.className, methods, countOnWire(maxTaskRetries), limit];
    if (hold === undefined) return { tag: ACTOR_TAG, data: fields, refs: [] };
    const claiming = client.state.kind === "claiming";
    return { tag: ACTOR_TAG, data: [...fields, hold.id, node ?? null, claiming], refs: hold[WIRE]().refs };
  }
}

const proxyRules: ProxyHandler<HandleTarget> = {
  get(target, property) {
    if (typeof property === "symbol") {
      const value: unknown = Reflect.get(target, property);
      return typeof value === "function" ? (value as () => unknown).bind(target) : value;
    }
    const { methods } = target[INTERNAL];
    // A handle is no promise, and says what it is in messages.
    if (!Object.hasOwn(methods, property) && (property === "then" || property === "toJSON")) return undefined;
    const method = target.method(property);
    if (property === "toString" && !Object.hasOwn(methods, property)) {
      const refused = method;
      return Object.assign(() => target.toString(), {
        remote: (...args: unknown[]) => refused.remote(...args),
        options: (given: CallOptions) => refused.options(given),
      });
    }
    return method;
  },
  has: (target, property) =>
    typeof property === "string" ? Object.hasOwn(target[INTERNAL].methods, property) : property in target,
  set: () => false,
};

export function makeHandle<T>(parts: HandleParts): ActorHandle<T> {
  registerHandles();
  return new Proxy(new HandleTarget(parts), proxyRules) as unknown as ActorHandle<T>;
}

class ActorMethodImpl {
  static {
    nameForMessages(this, "ActorMethod");
  }

  constructor(
    private readonly parts: HandleParts,
    private readonly method: string,
    private readonly given: CallOptions,
  ) {}

  options(options: CallOptions): ActorMethodImpl {
    checkOptions(`${this.parts.client.className}.${this.method}.options()`, CALL_RULES, options);
    return new ActorMethodImpl(this.parts, this.method, { ...this.given, ...options });
  }

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return `ActorMethod(${this.parts.client.className}.${this.method})`;
  }

  [WIRE](): never {
    throw new InvalidArgumentError(
      `the method ${this.method} of a handle can't be sent: send the handle, and call the method there`,
    );
  }

  remote(...args: unknown[]): unknown {
    const { clients, methods, maxTaskRetries, retryOn } = this.parts;
    const client = this.parts.client.current;
    const spec = Object.hasOwn(methods, this.method) ? methods[this.method] : undefined;
    if (spec === undefined) {
      throw new InvalidArgumentError(
        `actor ${client.className} has no method "${this.method}" that can be called; ${otherMethods(this.method, Object.keys(methods))}`,
      );
    }
    const current = ActorClients.of(`${client.className}.${this.method}.remote()`);
    if (current !== clients) {
      throw new InvalidArgumentError(
        `this handle of actor ${client.className} is from before shutdown(); get a new one`,
      );
    }
    this.parts.use.check(client.className);
    client.calls.admit();
    const runtime = clients.processRuntime;
    const encoded = runtime.values.encodeArgs(args);
    const { table } = runtime;
    const sequence = table.nextSequence();
    const returns = this.given.returns ?? spec.returns;
    const results: ObjectEntry[] = [];
    for (let i = 0; i < returns; i++) results.push(table.own(sequence, i));
    const stream: StreamState | undefined =
      returns < 0
        ? new StreamState(
            (count) => client.calls.consumed(call, count),
            () => taskIdOf(runtime.process, sequence),
          )
        : undefined;
    const call: ActorCallState = new ActorCallState(
      sequence,
      this.method,
      encoded,
      results,
      returns,
      stream,
      this.given.maxTaskRetries ?? spec.maxTaskRetries ?? maxTaskRetries,
      this.given.retryOn ?? retryOn?.(this.method) ?? false,
      this.runOptions(spec),
      this.parts,
      this.given.callId,
      this.given.delayMs,
    );
    if (this.given.delayMs !== undefined) madeDelayed(call);
    const refs = stream === undefined ? results.map((entry) => table.handle(entry)) : undefined;
    this.cancelOn(this.given.signal, client, call);
    this.parts.use.began(call);
    client.calls.submit(call);
    if (stream !== undefined) return new ObjectRefStream(stream, sequence);
    return returns === 1 ? refs?.[0] : refs;
  }

  private runOptions(spec: MethodSpec): TaskRunOptions | undefined {
    const options: TaskRunOptions = {};
    const timeoutMs = timerMs(this.given.timeoutMs);
    if (timeoutMs !== undefined) options.timeoutMs = timeoutMs;
    if (this.given.backpressure !== undefined) options.backpressure = this.given.backpressure;
    const group = this.given.concurrencyGroup ?? spec.group;
    if (group !== undefined) options.group = group;
    return Object.keys(options).length > 0 ? options : undefined;
  }

  private cancelOn(signal: AbortSignal | undefined, client: ActorClient, call: ActorCallState): void {
    if (signal === undefined) return;
    const onAbort = (): void => {
      call.cancelReason = signal.reason;
      client.calls.cancel(call);
    };
    if (signal.aborted) {
      call.cancelReason = signal.reason;
      call.cancelled = true;
      return;
    }
    signal.addEventListener("abort", onAbort, { once: true });
    call.onEnd = () => signal.removeEventListener("abort", onAbort);
  }
}

let registered = false;

/** How handles come back inside values. Called when the first is made and when a worker starts. */
export function registerHandles(): void {
  if (registered) return;
  registered = true;
  registerWireType(ACTOR_TAG, (data, context) => {
    const [id, className, methods, retries, limit, ref, node, claiming] = Array.isArray(data)
      ? (data as unknown[])
      : [];
    if (
      !isActorId(id) ||
      typeof className !== "string" ||
      typeof methods !== "object" ||
      methods === null ||
      typeof retries !== "number" ||
      typeof limit !== "number"
    ) {
      throw new ProtocolError("malformed actor handle inside a value");
    }
    const clients = ActorClients.of("an actor handle");
    const { table } = clients.processRuntime;
    let hold: ObjectRef | undefined;
    if (isObjectId(ref)) {
      const entry = table.adopt(ref, isNodeId(node) ? node : undefined);
      (context as { revived?: ObjectEntry[] } | undefined)?.revived?.push(entry);
      hold = table.handle(entry);
    }
    const maxPendingCalls = countFromWire(limit);
    const parts: HandleParts = {
      clients,
      client:
        claiming === true && hold !== undefined
          ? clients.unclaimed(id, className, maxPendingCalls, hold.entry, (identity) => {
              if (identity.ref !== hold.id) replaceHold(parts, identity);
            })
          : clients.known(id, className, maxPendingCalls),
      methods: methods as Record<string, MethodSpec>,
      maxTaskRetries: countFromWire(retries),
      hold,
      use: new HandleUse(),
    };
    return makeHandle(parts);
  });
}

/** The claim has told which actor the handle is of: it holds a share in that one from now on. */
export function replaceHold(parts: HandleParts, identity: ActorIdentity): void {
  parts.hold = holdOf(parts.clients, identity);
  if (parts.use.disposed) parts.hold?.release();
}

/** A share in the reference that keeps an actor alive; none for detached actors. */
export function holdOf(clients: ActorClients, { ref, node }: ActorIdentity): ObjectRef | undefined {
  const { table } = clients.processRuntime;
  return ref === undefined ? undefined : table.handle(table.adopt(ref, node));
}
