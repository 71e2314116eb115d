/** The actors that this process knows: one client each, fed by what agents say of them. */
import {
  Agent,
  Op,
  actorState,
  toError,
  StingrayError,
  ActorDiedError,
  type ActorId,
  type ActorSpec,
  type NodeId,
  type ObjectId,
} from "@stingray/protocol";
import { processState, runtimeFor, type ObjectEntry, type Runtime } from "@stingray/task/internal";
import { ActorClient } from "./client.js";

/** How often an agent is asked about an actor that can't be reached, and for how long. Milliseconds. */
const INQUIRE_EVERY_MS = 500;
const INQUIRE_FOR_MS = 30_000;

export class ActorClients {
  private readonly clients = new Map<ActorId, ActorClient>();

  private constructor(private readonly runtime: Runtime) {}

  /** The clients of this process's runtime, made on first use. */
  static of(what: string): ActorClients {
    const runtime = runtimeFor(what);
    const known = instances.get(runtime);
    if (known !== undefined) return known;
    const clients = new ActorClients(runtime);
    instances.set(runtime, clients);
    clients.serve();
    return clients;
  }

  private serve(): void {
    const { runtime } = this;
    runtime.transport.inbox.on(Op.ActorState, actorState, ([, view]) => {
      this.clients.get(view.actor as ActorId)?.apply({ kind: "view", view });
    });
    runtime.home.onMoved(() => {
      for (const client of this.clients.values())
        if (client.state.kind !== "dead" && client.state.kind !== "claiming") void this.watch(client);
    });
    runtime.onCancel((sequence) => {
      for (const client of this.clients.values()) {
        const call = client.find(sequence);
        if (call === undefined) continue;
        client.cancel(call);
        return Promise.resolve(true);
      }
      return Promise.resolve(false);
    });
    runtime.onStop((error) => {
      for (const client of this.clients.values()) client.stop(error);
    });
  }

  get processRuntime(): Runtime {
    return this.runtime;
  }

  /** A client for an actor that this process is about to create. */
  create(id: ActorId, className: string, maxPendingCalls: number): ActorClient {
    const client = new ActorClient(this.runtime, id, className, maxPendingCalls, (c) => void this.inquire(c));
    this.clients.set(id, client);
    return client;
  }

  /** The client of an actor that exists. */
  known(id: ActorId, className: string): ActorClient {
    let client = this.clients.get(id);
    if (client === undefined) {
      client = this.create(id, className, Infinity);
      client.apply({ kind: "claimed" });
      void this.watch(client);
    }
    return client;
  }

  /** The claim was answered: the client's actor exists, under its own id or that of the one with its name. */
  claimed(client: ActorClient, existing: ActorSpec | undefined): void {
    if (existing !== undefined) {
      this.clients.delete(client.id);
      client.id = existing.actor as ActorId;
      if (!this.clients.has(client.id)) this.clients.set(client.id, client);
      else this.follow(client, client.id);
    }
    client.apply({ kind: "claimed" });
    void this.watch(client);
  }

  /** Two clients of one actor in this process: the later one hears what the first hears by asking itself. */
  private follow(client: ActorClient, id: ActorId): void {
    this.clients.get(id)?.onChange(() => void this.watch(client));
  }

  /** Asks the home agent for the actor's state, now and on every change. */
  private async watch(client: ActorClient): Promise<void> {
    try {
      const view = await this.runtime.home.request(
        Agent.actorWatch,
        { actor: client.id },
        { timeoutMs: 30_000 },
      );
      client.apply({ kind: "view", view });
    } catch (thrown) {
      if (processState.runtime !== this.runtime) return;
      const error = toError(thrown);
      // A home agent that has just gone: the move to the next one asks again.
      if (error instanceof StingrayError && error.retryable) return;
      client.apply({
        kind: "refused",
        error: new ActorDiedError(`actor ${client.name} (${client.id}) is not known: ${error.message}`, {
          cause: error,
        }),
      });
    }
  }

  private async inquire(client: ActorClient): Promise<void> {
    const until = performance.now() + INQUIRE_FOR_MS;
    while (client.state.kind === "unreachable" && performance.now() < until) {
      await this.watch(client);
      if (client.state.kind === "unreachable")
        await new Promise((later) => setTimeout(later, INQUIRE_EVERY_MS));
    }
    client.giveUp();
  }

  /** Holds the actor for as long as `holder` lives, as a reference counted by its creator. */
  adoptHandle(ref: ObjectId, node: NodeId | undefined): ObjectEntry {
    return this.runtime.table.adopt(ref, node);
  }
}

const instances = new WeakMap<Runtime, ActorClients>();
