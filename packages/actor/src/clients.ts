/** The actors that this process knows: one client each, fed by what agents say of them. */
import {
  InvalidArgumentError,
  Agent,
  Mailbox,
  Op,
  Sleep,
  actorState,
  toError,
  StingrayError,
  ActorDiedError,
  type ActorId,
  type ActorView,
} from "@stingray/protocol";
import { processState, runtimeFor, type ObjectEntry, type Runtime } from "@stingray/task/internal";
import { Claims } from "./claims.js";
import { ActorClient, type ClientHooks } from "./client.js";
import { HostChannels } from "./host-channels.js";
import { NamedClients } from "./named-clients.js";
import { SharedCreation } from "./shared-creation.js";
import { identityOf, type ActorIdentity } from "./identity.js";
import { WaitWarnings } from "./wait-warnings.js";
import { explainCalls, ownedState } from "./why.js";

/** How often an agent is asked about an actor that can't be reached, and for how long. Milliseconds. */
const INQUIRE_EVERY_MS = 500;
const INQUIRE_FOR_MS = 30_000;

export class ActorClients {
  readonly claims = new Claims();
  readonly named = new NamedClients();
  private readonly clients = new Map<ActorId, ActorClient>();

  private readonly hooks: ClientHooks;
  /** Asks for actors that live with others. */
  readonly creation: SharedCreation;

  private constructor(private readonly runtime: Runtime) {
    this.creation = new SharedCreation(runtime);
    const hosts = new HostChannels(runtime.transport.inbox, () => this.clients.values());
    const warnings = new WaitWarnings((line) => runtime.warn(line));
    this.hooks = {
      waits: (line) => warnings.say(line),
      inquire: (c) => void this.inquire(c),
      // Asked for again, an agent says how it ended.
      dead: (c) => {
        this.named.forget(c);
        if (this.clients.get(c.id) === c) this.clients.delete(c.id);
      },
      hostChannel: (view, host) => hosts.to(view, host),
    };
  }

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
      const client = this.clients.get(view.actor as ActorId);
      if (client === undefined) return;
      client.pushed++;
      client.apply({ kind: "view", view });
    });
    runtime.transport.inbox.serve(Mailbox.answers, ({ actor, answers }, channel) => {
      const calls = this.clients.get(actor as ActorId)?.calls;
      for (const [number, ...rest] of answers) calls?.answered(number, [Op.TaskDone, ...rest], channel);
      return {};
    });
    runtime.home.onMoved(() => {
      for (const client of this.clients.values())
        if (client.state.kind !== "dead" && client.state.kind !== "claiming") void this.watch(client);
    });
    runtime.onCancel((sequence, { force }) => {
      for (const client of this.clients.values()) {
        const call = client.calls.find(sequence);
        if (call === undefined) continue;
        if (force && call.phase === "sent") {
          const what = `cancel(): force would end the actor ${client.className} with all its other calls`;
          return Promise.reject(
            new InvalidArgumentError(`${what}; cancel without force, or kill() the actor`),
          );
        }
        client.calls.cancel(call);
        return Promise.resolve(true);
      }
      return Promise.resolve(false);
    });
    runtime.explainer.addCalls(explainCalls(runtime, () => this.clients.values()));
    runtime.waitStates.addOwner((sequence) => {
      for (const client of this.clients.values()) {
        const call = client.calls.find(sequence);
        if (call !== undefined) return ownedState(runtime, client, call);
      }
      return undefined;
    });
    runtime.onStop((error) => {
      for (const client of this.clients.values()) client.stop(error);
    });
  }

  /** Ends an actor at once, wherever it is; once its creation was answered. A dead one is no error. */
  async end(client: ActorClient, restart: boolean): Promise<void> {
    await this.claimAnswered(client);
    if (client.state.kind === "dead") return;
    await this.runtime.home.request(Agent.actorKill, {
      actor: client.id,
      restart,
      reason: "kill() was called",
    });
  }

  /** Its creation was not answered in time: it ends if it was made all the same. */
  endUnanswered(id: ActorId, className: string): void {
    const ask = { actor: id, restart: false, reason: "its creation was not answered in time" };
    this.runtime.home.request(Agent.actorKill, ask).catch((thrown: unknown) => {
      this.runtime.warn(`actor ${className} (${id}) may have been made: ${toError(thrown).message}`);
    });
  }

  /** Has one that sleeps made again. */
  wake(client: ActorClient): void {
    const { id } = client;
    this.runtime.home.request(Sleep.wake, { actor: id }, { timeoutMs: 30_000 }).catch((thrown: unknown) => {
      this.runtime.warn(`actor ${client.className} (${id}) could not be woken: ${toError(thrown).message}`);
    });
  }

  /** Until it is known which actor it is, or that there is none. */
  claimAnswered(client: ActorClient): Promise<void> {
    return this.runtime.during(settledClaim(client));
  }

  get processRuntime(): Runtime {
    return this.runtime;
  }

  /** A client for an actor that this process is about to create. */
  create(id: ActorId, className: string, maxPendingCalls: number): ActorClient {
    const client = new ActorClient(this.runtime, id, className, maxPendingCalls, this.hooks);
    this.clients.set(id, client);
    return client;
  }

  /** The client of an actor that exists. */
  known(id: ActorId, className: string, maxPendingCalls: number): ActorClient {
    let client = this.clients.get(id);
    if (client === undefined) {
      client = this.create(id, className, maxPendingCalls);
      client.apply({ kind: "claimed" });
      void this.watch(client);
    }
    return client;
  }

  /**
   * The client of an actor whose handle was sent here before its claim was answered. `hold` is the reference that
   * stands for the handles; its value tells which actor it is.
   */
  unclaimed(
    id: ActorId,
    className: string,
    maxPendingCalls: number,
    hold: ObjectEntry,
    learned: (identity: ActorIdentity) => void,
  ): ActorClient {
    const client = this.clients.get(id) ?? this.create(id, className, maxPendingCalls);
    if (client.state.kind !== "claiming") return client;
    const { table } = this.runtime;
    table.pin(hold);
    table.ask(hold);
    hold.whenReady(() => {
      try {
        const identity = identityOf(hold);
        learned(identity);
        this.claimed(client, identity.actor);
      } catch (thrown) {
        const error = toError(thrown);
        client.apply({
          kind: "refused",
          error: error instanceof StingrayError ? error : new ActorDiedError(error.message, { cause: error }),
        });
      }
      table.unpin(hold);
    });
    return client;
  }

  /**
   * The claim was answered: the client's actor exists, under its own id or that of the one with its name.
   * @param view its state, where the agent has said it and tells of every change
   */
  claimed(client: ActorClient, actor: ActorId, view?: ActorView): void {
    if (client.state.kind !== "claiming") return;
    if (actor !== client.id) {
      this.clients.delete(client.id);
      const known = this.clients.get(actor);
      if (known !== undefined) {
        client.id = actor;
        client.mergeInto(known);
        return;
      }
      client.id = actor;
      this.clients.set(actor, client);
    }
    const { pushed } = client;
    client.apply({ kind: "claimed" });
    if (view === undefined) void this.watch(client);
    else if (pushed === 0) client.apply({ kind: "view", view });
  }

  /** Asks the home agent for the actor's state, now and on every change. */
  private async watch(client: ActorClient): Promise<void> {
    try {
      const { pushed } = client;
      const view = await this.runtime.home.request(
        Agent.actorWatch,
        { actor: client.id },
        { timeoutMs: 30_000 },
      );
      // What came right behind the answer was handled before this line, and tells all that the answer does.
      if (client.pushed === pushed) client.apply({ kind: "view", view });
    } catch (thrown) {
      if (processState.runtime !== this.runtime) return;
      const error = toError(thrown);
      // A home agent that has just gone: the move to the next one asks again.
      if (error instanceof StingrayError && error.retryable) return;
      client.apply({
        kind: "refused",
        error: new ActorDiedError(`actor ${client.className} (${client.id}) is not known: ${error.message}`, {
          cause: error,
        }),
      });
    }
  }

  private async inquire(client: ActorClient): Promise<void> {
    const until = performance.now() + INQUIRE_FOR_MS;
    while (client.state.kind === "unreachable" && performance.now() < until) {
      // This process leaves, and all that it has made ends with it.
      if (processState.runtime !== this.runtime) return;
      await this.watch(client);
      if (client.state.kind === "unreachable")
        await new Promise((later) => setTimeout(later, INQUIRE_EVERY_MS).unref());
    }
    client.giveUp();
  }
}

const instances = new WeakMap<Runtime, ActorClients>();

/** Resolves once the claim of its actor was answered, one way or the other. */
export function settledClaim(client: ActorClient): Promise<void> {
  return new Promise((done) => {
    if (client.state.kind !== "claiming") done();
    else {
      const off = client.onChange(() => {
        if (client.state.kind === "claiming") return;
        off();
        done();
      });
    }
  });
}
