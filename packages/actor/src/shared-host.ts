/** Many actors in one process: their activations by id, and one endpoint that takes the calls of all of them. */
import {
  ActorDiedError,
  ActorUnavailableError,
  InvalidArgumentError,
  Op,
  ProtocolError,
  SharedCalls,
  SpecTemplates,
  TaskStatus,
  toError,
  type ActorCall,
  type ActorId,
  type ActorSpec,
  type OwnSpec,
} from "@stingray/protocol";
import type { Channel } from "@stingray/broker";
import { encodeThrown } from "@stingray/task/internal";
import { restoreState } from "./state-saver.js";
import { Activation, type ActivationHost, type ActivationParts } from "./activation.js";
import { CallEndpoint } from "./call-endpoint.js";
import { HeldCalls } from "./held-calls.js";
import { HostedClass } from "./hosted-class.js";
import { Makings } from "./makings.js";

/** The endpoint's: a host is never made again under the same id. */
const HOST_EPOCH = 1;
const NO_ARGS = new Uint8Array();
const NO_GPUS: readonly number[] = [];

export class SharedHost {
  private readonly templates = new SpecTemplates();
  private readonly activations = new Map<string, Activation>();
  private readonly held = new HeldCalls(
    (message, channel) => this.endpoint.accept(message, channel),
    (actor) => this.makings.has(actor),
  );
  private readonly makings = new Makings();
  private readonly endpoint: CallEndpoint;
  /** Why no actors are made any more that do not outlive their job. */
  private jobOver: string | undefined;

  constructor(
    id: ActorId,
    private readonly host: ActivationHost,
  ) {
    this.endpoint = new CallEndpoint(
      host.runtime,
      id,
      HOST_EPOCH,
      (message, channel) => this.find(message, channel),
      (sequence, channel) => this.held.cancel(sequence, channel),
    );
    this.endpoint.serve(SharedCalls.made, async ({ actor, epoch }) => {
      if (!this.lives(actor, epoch)) await this.makings.ended(actor);
      return { made: this.lives(actor, epoch) };
    });
    host.runtime.explainer.addRunner((task) => this.endpoint.progress(task));
    host.runtime.waitStates.addRunner((task) => this.endpoint.waitState(task));
  }

  /** Actors that live here. */
  get size(): number {
    return this.activations.size;
  }

  /**
   * @param base makes its template known
   * @param state what an earlier incarnation has saved
   * @throws what the constructor threw, as a TaskError; FunctionNotFoundError; RuntimeEnvError
   */
  start(own: OwnSpec, base: ActorSpec | undefined, epoch: number, state?: Uint8Array): Promise<Activation> {
    return this.makings.during(own.actor, () => this.make(own, base, epoch, state));
  }

  private async make(
    own: OwnSpec,
    base: ActorSpec | undefined,
    epoch: number,
    state: Uint8Array | undefined,
  ): Promise<Activation> {
    const { host } = this;
    if (base !== undefined) this.templates.add(own.template, base);
    const spec = this.templates.join(own);
    if (spec === undefined)
      throw new ProtocolError(`actor ${own.actor} is of a template that was not sent here`);
    const restore: ActivationParts["restore"] =
      state === undefined ? undefined : (instance) => restoreState(host.runtime, instance, state);
    const known = HostedClass.loaded(spec, host.runtime.job.root);
    const cls = known ?? (await HostedClass.load(spec, host.runtime.job.root));
    const activation = await Activation.start({ host, spec, epoch, cls, gpus: NO_GPUS, restore });
    spec.args = NO_ARGS; // they are used, and its agent has them
    if (this.jobOver !== undefined && !spec.detached) {
      activation.giveUp();
      throw new ActorDiedError(`actor ${spec.className} (${spec.actor}) was not made: ${this.jobOver}`);
    }
    const before = this.activations.get(spec.actor);
    if (before !== undefined && before.epoch > epoch)
      throw new InvalidArgumentError(`a later incarnation of actor ${spec.actor} lives here`);
    this.activations.set(spec.actor, activation);
    this.held.release(spec.actor);
    return activation;
  }

  /** Ends an incarnation; see `shared.end` of the protocol. One that is not here has ended. */
  async end(
    actor: string,
    epoch: number,
    reason: string,
    inOrder: boolean,
    deadlineMs: number,
  ): Promise<{ running: number; error?: string | undefined }> {
    const end = performance.now() + deadlineMs;
    while (!this.activations.has(actor) && this.makings.has(actor)) {
      // Its constructor can't be stopped.
      if (performance.now() >= end) return { running: 1 };
      await new Promise((turn) => setTimeout(turn, 10));
    }
    const activation = this.activations.get(actor);
    if (activation === undefined || activation.epoch > epoch) return { running: 0 };
    let error: string | undefined;
    if (inOrder)
      await activation
        .leave(reason, deadlineMs)
        .catch((thrown: unknown) => (error = toError(thrown).message));
    else {
      activation.giveUp();
      await activation.quiet(end - performance.now());
    }
    const running = activation.pending;
    if (this.activations.get(actor) === activation) this.activations.delete(actor);
    return error === undefined ? { running } : { running, error };
  }

  /** The job is over: those that do not outlive it end in order, and none of them is made any more. */
  async endJob(reason: string, deadlineMs: number): Promise<void> {
    this.jobOver = reason;
    const mine = [...this.activations.values()].filter(({ spec }) => !spec.detached);
    await Promise.allSettled(
      mine.map(async (one) => {
        if (one.pending > 0 || one.hasDeactivate) await one.leave(reason, deadlineMs);
        one.giveUp();
        if (this.activations.get(one.spec.actor) === one) this.activations.delete(one.spec.actor);
      }),
    );
  }

  private lives(actor: string, epoch: number): boolean {
    const activation = this.activations.get(actor);
    return activation !== undefined && activation.epoch >= epoch;
  }

  private find(message: ActorCall, channel: Channel): Activation | undefined {
    const [, sequence, , , , , , actor = "", epoch = 0] = message;
    const activation = this.activations.get(actor);
    if (activation !== undefined && activation.epoch === epoch) return activation;
    if (activation !== undefined && activation.epoch > epoch) {
      channel.send([Op.TaskDone, sequence, TaskStatus.Dropped, [], 0]); // its caller is about to hear of the newer one
      return undefined;
    }
    // Its caller can know of it before this process does, or not yet know that it has ended.
    this.held.hold(actor, message, channel, () => {
      const error = new ActorUnavailableError(
        `actor ${actor} does not live in the process that had it; it has ended or is being restarted`,
        { detail: { actor } },
      );
      channel.send([Op.TaskDone, sequence, TaskStatus.Failed, [[2, encodeThrown(error)]], 0]);
    });
    return undefined;
  }

  flush(): void {
    this.endpoint.flush();
  }

  /** All that live here end in order. */
  async stop(reason: string, deadlineMs: number): Promise<void> {
    const busy = [...this.activations.values()].filter((one) => one.pending > 0 || one.hasDeactivate);
    try {
      await Promise.allSettled(busy.map((one) => one.leave(reason, deadlineMs)));
    } finally {
      this.held.stop();
      await this.endpoint.close();
    }
  }
}
