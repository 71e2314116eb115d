/** The actors that a worker hosts. */
import { Op, ProtocolError, encodeError, type ActorId, type ActorSpec } from "@stingray/protocol";
import type { Runtime } from "@stingray/task/internal";
import { Activation, type ActivationHost, type ActivationParts } from "./activation.js";
import { CallEndpoint } from "./call-endpoint.js";
import type { Before } from "./durable/kept-mailbox.js";
import { KeptMailboxes } from "./durable/kept-mailboxes.js";
import { HostedClass } from "./hosted-class.js";
import { IdleWatch } from "./idle-watch.js";
import { LentPlace } from "./lent-place.js";
import { SharedHost } from "./shared-host.js";
import { restoreState } from "./state-saver.js";

interface Hosted {
  readonly activation: Activation;
  readonly endpoint: CallEndpoint;
}

export class ActorHost implements ActivationHost {
  private own: Hosted | undefined;
  private unheard = false;

  /** Many others, where this process is for those. */
  private many: SharedHost | undefined;

  constructor(readonly runtime: Runtime) {}

  /** Becomes a process for many actors, whose calls come to the endpoint `id`. */
  openShared(id: ActorId): void {
    this.many ??= new SharedHost(id, this);
  }
  /** @throws ProtocolError where this process is not for many actors */
  get shared(): SharedHost {
    if (this.many === undefined) throw new ProtocolError("this worker was not made a host of many actors");
    return this.many;
  }

  /**
   * Makes the actor that this process is for: loads the class, runs the constructor and `onActivate`, and opens the
   * mailbox.
   * @param lease name of the actor's reservation at its agent, whose CPUs are lent while all that it does is waiting
   * @param state what an earlier incarnation has saved
   * @param before what it has left of its durable mailbox
   * @throws what the constructor threw, as a TaskError; FunctionNotFoundError; RuntimeEnvError
   */
  async start(
    spec: ActorSpec,
    epoch: number,
    gpus: readonly number[],
    lease: string,
    state?: Uint8Array,
    before: Before = {},
  ): Promise<Activation> {
    const { runtime } = this;
    const restore: ActivationParts["restore"] =
      state === undefined ? undefined : (instance) => restoreState(runtime, instance, state);
    const cls = await HostedClass.load(spec, runtime.job.root);
    const place = new LentPlace(lease, (message) => runtime.home.send(message));
    const activation = await Activation.start({ host: this, spec, epoch, cls, gpus, place, restore });
    place.hasCpus = (spec.running["CPU"] ?? 0) > 0;
    const endpoint = new CallEndpoint(runtime, spec.actor as ActorId, epoch, () => activation);
    runtime.explainer.addRunner((task) => endpoint.progress(task));
    runtime.waitStates.addRunner((task) => endpoint.waitState(task));
    this.own = { activation, endpoint };
    IdleWatch.begin(runtime, activation, () => KeptMailboxes.of(runtime).isQuiet(activation));
    if (spec.durable === true) KeptMailboxes.of(runtime).open(activation, before);
    return activation;
  }

  exited(activation: Activation): void {
    const { spec, epoch } = activation;
    const { home } = this.runtime;
    const tell = (): void => {
      this.flush();
      const { exitError } = activation.self;
      // Its callers may hear of its end before they hear how the call has ended that was the last one.
      home.send([
        Op.ActorExited,
        spec.actor,
        epoch,
        ...(exitError === undefined ? [] : [encodeError(exitError)]),
      ]);
      home.flush();
    };
    setImmediate(() => {
      if (spec.durable !== true || activation.pending > 0) return tell();
      // Calls that have ended are answered before their actor is dead.
      KeptMailboxes.of(this.runtime).close(activation).then(tell, tell);
    });
  }

  /** Hands what was answered to the links now. */
  flush(): void {
    this.own?.endpoint.flush();
    this.many?.flush();
  }

  /** See {@link Activation.leave}; 0 where there is no actor. */
  async leave(reason: string, deadlineMs: number, save = false): Promise<number> {
    if (this.own === undefined) return 0;
    const { activation } = this.own;
    const running = await activation.leave(reason, deadlineMs, save);
    this.unheard = await KeptMailboxes.of(this.runtime).close(activation);
    return running;
  }

  /** It has left, and callers have not heard of all that has ended. */
  get owes(): boolean {
    return this.unheard;
  }

  /** Calls that have not ended. */
  get running(): number {
    return this.own?.activation.pending ?? 0;
  }

  /** A clean end: as `leave`, and nobody can reach it any more. */
  async stop(reason: string, deadlineMs: number): Promise<void> {
    try {
      await Promise.all([this.leave(reason, deadlineMs), this.many?.stop(reason, deadlineMs)]);
    } finally {
      await this.own?.endpoint.close();
    }
  }
}
