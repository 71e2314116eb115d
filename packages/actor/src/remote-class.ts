/** `remote(Class)`: making actors. */
import { WIRE } from "@stingray/objectstore";
import {
  ACTOR_RULES,
  ActorDiedError,
  Agent,
  InvalidArgumentError,
  InvalidOptionError,
  NameTakenError,
  OUT_OF_SCOPE,
  StingrayError,
  TimeoutError,
  checkOptions,
  countFromWire,
  countOnWire,
  nameForMessages,
  newActorId,
  resourceMap,
  shapeOf,
  toError,
  type ActorId,
  type ActorOptions,
  type ActorSpec,
  type MethodSpec,
  type Shape,
  type ObjectId,
  type NodeId,
  type ValueDesc,
} from "@stingray/protocol";
import type { ObjectRef, RemoteArgs } from "@stingray/task";
import {
  currentExecution,
  moduleOnWire,
  decodeThrown,
  type Constructor,
  type EncodedArgs,
  type RemoteDefinition,
  type Runtime,
} from "@stingray/task/internal";
import type { ActorClient } from "./client.js";
import { ActorClients } from "./clients.js";
import { holdOf, makeHandle, replaceHold, type HandleParts } from "./handle.js";
import type { ActorHandle } from "./handle-types.js";
import { HandleUse } from "./handle-use.js";
import { identityState, noIdentityState, type ActorIdentity } from "./identity.js";
import type { CreationAnswer } from "./shared-creation.js";
import { checkShared } from "./shared-options.js";
import { findMethod, methodInfo, methodNames, type ActorClassInfo } from "./metadata.js";
import { passivateAfter } from "./passivation.js";

/** A class whose instances are actors. */
export interface RemoteClass<A extends unknown[], T> {
  /**
   * Creates an actor and returns its handle at once; `ready(handle)` tells when and whether it lives.
   * @throws SerializationError for an argument that can't be sent; NotInitializedError; InvalidOptionError for options
   * that need each other
   */
  remote(...args: RemoteArgs<A>): ActorHandle<T>;
  /**
   * The same class with other options for the actors made of the result.
   * @throws InvalidOptionError
   */
  options(options: ActorOptions): RemoteClass<A, T>;
  /** Its name on the wire. */
  readonly remoteName: string;
}

/** CPUs held while an actor is placed, and while it runs, unless given. */
const PLACEMENT_CPUS = 1;
const RUNNING_CPUS = 0;
const NO_GROUPS: Readonly<Record<string, number>> = {};
/** Time for the claim of an actor to be answered, in milliseconds. */
const CLAIM_DEADLINE_MS = 30_000;

export class RemoteClassImpl {
  static {
    nameForMessages(this, "RemoteClass");
  }

  private methods: Record<string, MethodSpec> | undefined;
  private shapeKept: Shape | undefined;
  private runningKept: Record<string, number> | undefined;

  constructor(
    private readonly info: ActorClassInfo,
    private readonly given: ActorOptions,
  ) {}

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return `RemoteClass(${this.remoteName})`;
  }

  get remoteName(): string {
    return this.info.definition.name;
  }

  [WIRE](): never {
    throw new InvalidArgumentError(
      `the remote class ${this.remoteName} can't be sent: import its module where it is needed`,
    );
  }

  options(options: ActorOptions): RemoteClassImpl {
    checkOptions(`${this.remoteName}.options()`, ACTOR_RULES, options);
    return new RemoteClassImpl(this.info, { ...this.given, ...options });
  }

  remote(...args: unknown[]): ActorHandle<unknown> {
    const clients = ActorClients.of(`${this.remoteName}.remote()`);
    const runtime = clients.processRuntime;
    const { definition } = this.info;
    const options = this.given;
    if (options.getIfExists === true && options.name === undefined) {
      throw new InvalidOptionError(`remote(${this.remoteName}): getIfExists needs a name`);
    }
    checkShared(this.remoteName, options);
    const methods = this.methodsOf(definition);
    passivateAfter(definition.name, options, methods);
    const encoded = runtime.values.encodeArgs(args);
    const id = newActorId();
    const client = clients.create(id, definition.name, options.maxPendingCalls ?? Infinity);
    client.keep(encoded, this.shape);
    const parts: HandleParts = {
      clients,
      client,
      methods,
      maxTaskRetries: options.maxTaskRetries ?? 0,
      retryOn: (name) => retryOf(definition, name),
      hold: this.holder(runtime, client),
      use: new HandleUse(),
    };
    const own = parts.hold;
    const ready = argumentsOf(runtime, encoded);
    let asked = (): void => {};
    const captured = currentExecution()?.capture;
    const claim = runtime.during(this.claim(clients, client, parts, ready, captured, () => asked()));
    if (options.name !== undefined) {
      const namespace = options.namespace ?? runtime.job.namespace;
      asked = clients.claims.add(namespace, options.name, claim);
      const known = clients.named.of(namespace, options.name, client);
      // The calls of both handles are to keep one order. (A claim that waits for its arguments may wait for just these.)
      if (
        known !== client &&
        options.getIfExists === true &&
        encoded.whole !== undefined &&
        own !== undefined
      )
        keepOrder(known, own.entry.sequence, claim);
    }
    return makeHandle(parts);
  }

  /** Actors that live with others share what they have in common, also in the memory of their creator. */
  private methodsOf(definition: RemoteDefinition): Record<string, MethodSpec> {
    if (this.given.isolation !== "shared") return methodSpecs(definition, this.given);
    return (this.methods ??= methodSpecs(definition, this.given));
  }

  /** What it asks for; the same for all that are made of this. */
  private get shape(): Shape {
    return (this.shapeKept ??= shapeOf(this.given, placementCpus(this.given)));
  }
  private get running(): Record<string, number> {
    return (this.runningKept ??= resourceMap(this.given, RUNNING_CPUS));
  }

  private get detached(): boolean {
    return this.given.lifetime === "detached";
  }

  /**
   * A reference that stands for the actor's handles: when nobody holds it any more, the actor ends. Its value says
   * which actor it is, once that is known.
   */
  private holder(runtime: Runtime, client: ActorClient): ObjectRef {
    const { table } = runtime;
    const entry = table.own(table.nextSequence(), 0);
    table.publish(entry);
    if (!this.detached)
      entry.onFree = () => {
        if (client.state.kind === "dead") return;
        const end = (): void => {
          runtime.home
            .request(Agent.actorKill, {
              actor: client.id,
              restart: false,
              reason: OUT_OF_SCOPE,
            })
            .catch(() => {});
        };
        client.whenIdle(end);
      };
    return table.handle(entry);
  }

  private async claim(
    clients: ActorClients,
    client: ActorClient,
    parts: HandleParts,
    ready: Promise<Uint8Array | ValueDesc[]>,
    captured: string | undefined,
    asks: () => void,
  ): Promise<void> {
    const { processRuntime: runtime } = clients;
    const { table } = runtime;
    const own = parts.hold;
    try {
      const args = await ready;
      asks();
      const spec = this.specOf(runtime, client.id, parts, args, captured);
      const getIfExists = this.given.getIfExists ?? false;
      const { existing, view }: CreationAnswer =
        spec.shared === true
          ? await clients.creation.create(spec, getIfExists, CLAIM_DEADLINE_MS)
          : await runtime.home.request(
              Agent.actorCreate,
              { spec, getIfExists },
              { timeoutMs: CLAIM_DEADLINE_MS },
            );
      if (existing !== undefined && existing.className !== spec.className) throw ofAnother(existing, spec);
      const identity = identityIn(existing ?? spec);
      if (own !== undefined) table.settle(own.entry, identityState(identity));
      if (identity.ref !== own?.id) {
        // Ours stood for an actor that was never made, or that needs no handle to live.
        replaceHold(parts, identity);
        if (own !== undefined) own.entry.onFree = undefined;
        own?.release();
      }
      clients.claimed(client, identity.actor, view);
    } catch (thrown) {
      const error = toError(thrown);
      const refusal =
        error instanceof StingrayError ? error : new ActorDiedError(error.message, { cause: error });
      if (own !== undefined) table.settle(own.entry, noIdentityState(refusal));
      client.apply({ kind: "refused", error: refusal });
      // Whoever asked was told that there is no such actor: what comes of it yet must not stay.
      if (error instanceof TimeoutError) clients.endUnanswered(client.id, this.remoteName);
    }
  }

  private specOf(
    runtime: Runtime,
    actor: ActorId,
    parts: HandleParts,
    args: Uint8Array | ValueDesc[],
    captured: string | undefined,
  ): ActorSpec {
    const { definition } = this.info;
    const o = this.given;
    const spec: ActorSpec = {
      actor,
      job: runtime.job.job,
      creator: runtime.process,
      module: moduleOnWire(definition.module, runtime.job.root),
      className: definition.name,
      hash: definition.hash,
      args,
      placement: captured === undefined ? this.shape : shapeOf(o, placementCpus(o), captured),
      running: this.running,
      namespace: o.namespace ?? runtime.job.namespace,
      detached: this.detached,
      maxRestarts: countOnWire(o.maxRestarts ?? (o.mailbox === "durable" ? Infinity : 0)),
      maxTaskRetries: countOnWire(o.maxTaskRetries ?? 0),
      maxConcurrency: o.maxConcurrency ?? 1,
      concurrencyGroups: o.concurrencyGroups ?? NO_GROUPS,
      methods: o.isolation === "shared" ? parts.methods : { ...parts.methods },
    };
    if (parts.hold !== undefined && !this.detached) spec.handleRef = parts.hold.id;
    const sleepsAfter = passivateAfter(definition.name, o, parts.methods);
    if (sleepsAfter !== undefined) spec.passivateAfterMs = sleepsAfter;
    if (o.mailbox === "durable") spec.durable = true;
    if (o.maxPendingCalls !== undefined) spec.maxPendingCalls = countOnWire(o.maxPendingCalls);
    if (runtime.node !== undefined) spec.creatorNode = runtime.node;
    if (o.name !== undefined) spec.name = o.name;
    if (o.isolation === "shared") spec.shared = true;
    return spec;
  }
}

/** Actors that live with others hold nothing, not even while they are placed. */
const placementCpus = ({ isolation }: ActorOptions): number => (isolation === "shared" ? 0 : PLACEMENT_CPUS);

/** Waits for arguments that are references; fails with the error of one that failed. */
async function argumentsOf(runtime: Runtime, encoded: EncodedArgs): Promise<Uint8Array | ValueDesc[]> {
  if (encoded.whole !== undefined) return encoded.whole;
  const slots = encoded.slots ?? [];
  for (const slot of slots) {
    if (slot.kind !== "object") continue;
    runtime.table.ask(slot.entry);
    await new Promise<void>((ready) => slot.entry.whenReady(ready));
    if (slot.entry.state.kind === "error") throw decodeThrown(slot.entry.state.bytes);
  }
  return slots.map((slot): ValueDesc =>
    slot.kind === "bytes" ? [0, slot.bytes] : runtime.table.describe(slot.entry),
  );
}

/** `getIfExists` has found what is no actor of the class that it was called on. */
function ofAnother(existing: ActorSpec, wanted: ActorSpec): NameTakenError {
  return new NameTakenError(
    `getIfExists: the name "${existing.name}" in namespace "${existing.namespace}" belongs to an actor of the class ` +
      `${existing.className} (${existing.actor}), and not of ${wanted.className}; use another name`,
    { detail: { actor: existing.actor, job: existing.job } },
  );
}

/** What is called on `known` after `sequence` waits until it is known whether the claim leads there, too. */
function keepOrder(known: ActorClient, sequence: number, claim: Promise<void>): void {
  const hold = known.calls.holdAfter(sequence);
  void claim.finally(() => {
    hold.open = true;
    known.calls.pump();
  });
}

function methodSpecs(definition: RemoteDefinition, options: ActorOptions): Record<string, MethodSpec> {
  const cls = definition.target as Constructor;
  const specs: Record<string, MethodSpec> = {};
  for (const name of methodNames(cls)) {
    const fn = findMethod(cls, name);
    if (fn === undefined) continue;
    const info = methodInfo(fn);
    const spec: MethodSpec = { returns: info.results };
    if (info.shared === true) spec.shared = true;
    if (info.maxTaskRetries !== undefined) spec.maxTaskRetries = countOnWire(info.maxTaskRetries);
    if (info.concurrencyGroup !== undefined) {
      if (options.concurrencyGroups?.[info.concurrencyGroup] === undefined) {
        throw new InvalidOptionError(
          `${definition.name}.${name}: concurrencyGroup "${info.concurrencyGroup}" is not among the actor's concurrencyGroups (${Object.keys(options.concurrencyGroups ?? {}).join(", ") || "none"})`,
        );
      }
      spec.group = info.concurrencyGroup;
    }
    specs[name] = spec;
  }
  return specs;
}

function retryOf(
  definition: RemoteDefinition,
  name: string,
): ReturnType<NonNullable<HandleParts["retryOn"]>> {
  const fn = findMethod(definition.target as Constructor, name);
  return fn === undefined ? undefined : methodInfo(fn).retryOn;
}

/** The handle of an actor that exists, by its spec. */
export function handleFor<T>(clients: ActorClients, spec: ActorSpec): ActorHandle<T> {
  const identity = identityIn(spec);
  const limit = spec.maxPendingCalls;
  const client = clients.known(
    identity.actor,
    spec.className,
    limit === undefined ? Infinity : countFromWire(limit),
  );
  if (spec.name !== undefined) clients.named.of(spec.namespace, spec.name, client);
  return makeHandle<T>({
    clients,
    client,
    methods: spec.methods,
    maxTaskRetries: countFromWire(spec.maxTaskRetries),
    hold: holdOf(clients, identity),
    use: new HandleUse(),
  });
}

function identityIn(spec: ActorSpec): ActorIdentity {
  return {
    actor: spec.actor as ActorId,
    ref: spec.handleRef as ObjectId | undefined,
    node: spec.creatorNode as NodeId | undefined,
  };
}
